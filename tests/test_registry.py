"""Types of the scope ``gcp_mm`` resolve from every OpenMMLab package, without custom_imports."""

import pytest

BUILD = """
import sys
from mmengine.registry import DefaultScope
from {scope}.registry import MODELS
DefaultScope.get_instance("test", scope_name="{scope}")
assert not any(name.startswith("gcp_mm") for name in sys.modules)
for cfg in (
    dict(type="gcp_mm.GCPMResNet", depth=18, base_channels=8),
    dict(type="gcp_mm.GCPDResNet", depth=18, base_channels=8),
    dict(type="gcp_mm.GCPResNet", depth=18, base_channels=8),
    dict(type="gcp_mm.GlobalCovariancePooling", in_channels=8, reduced_channels=4),
):
    built = MODELS.build(cfg)
    print(type(built).__module__, type(built).__name__)
from mmengine.config import Config
cfg = Config.fromfile("child.py")
print(cfg.model.backbone.depth, cfg.model.neck.in_channels, cfg.model.head.num_classes)
"""


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain"])
def test_types_and_configs_are_found_by_their_prefix(run_warm, tmp_path, scope):
    (tmp_path / "child.py").write_text(
        "_base_ = 'gcp_mm::imagenet/resnet18_gcp_lrnorm.py'\n"
        "model = dict(head=dict(num_classes=7))\n"
    )
    process = run_warm("-c", BUILD.format(scope=scope), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-5:] == [
        "gcp_mm.models.detection.gcpm_resnet GCPMResNet",
        "gcp_mm.models.detection.gcpd_resnet GCPDResNet",
        "gcp_mm.models.classification.gcp_resnet GCPResNet",
        "gcp_mm.models.classification.global_covariance_pooling GlobalCovariancePooling",
        "18 512 7",
    ]
