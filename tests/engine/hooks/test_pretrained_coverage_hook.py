"""No backbone starts from random weights where its config names a file."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS as DETECTION
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import MODELS as CLASSIFICATION
from torch import nn

from gcp_mm.engine.hooks import PretrainedCoverageHook
from gcp_mm.engine.hooks import pretrained_hooks as pretrained_coverage_hook
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError

NARROW = dict(depth=18, base_channels=8, stem_channels=8)
# Every backbone of configs/ that is none of this package, and the same of another size.
BACKBONES = {
    "detector": (DETECTION, dict(type="ResNet", **NARROW), dict(depth=34)),
    "ResNet": (CLASSIFICATION, dict(type="ResNet", **NARROW), dict(depth=34)),
    "MobileNetV2": (
        CLASSIFICATION,
        dict(type="MobileNetV2", widen_factor=0.25),
        dict(widen_factor=0.5),
    ),
    "ShuffleNetV2": (
        CLASSIFICATION,
        dict(type="ShuffleNetV2", widen_factor=0.5),
        dict(widen_factor=1.0),
    ),
    "ConvNeXt": (
        CLASSIFICATION,
        dict(type="ConvNeXt", arch=dict(depths=[1, 1], channels=[8, 16]), out_indices=[1]),
        dict(arch=dict(depths=[1, 2], channels=[8, 16])),
    ),
    "Swin": (
        CLASSIFICATION,
        dict(
            type="SwinTransformer",
            img_size=32,
            window_size=2,
            arch=dict(embed_dims=8, depths=[2, 2], num_heads=[2, 2]),
            out_indices=(1,),
        ),
        dict(arch=dict(embed_dims=8, depths=[2, 4], num_heads=[2, 2])),
    ),
    "ViT": (
        CLASSIFICATION,
        dict(
            type="VisionTransformer",
            img_size=32,
            patch_size=8,
            arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=8),
        ),
        dict(arch=dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=8)),
    ),
}


@pytest.fixture(params=BACKBONES)
def kind(request):
    return request.param


@pytest.fixture
def build(kind):
    """Build the backbone of a network, of this size or the other."""

    def make(other=False, **init_cfg):
        registry, settings, change = BACKBONES[kind]
        settings = {**settings, **(change if other else {})}
        if init_cfg:
            settings["init_cfg"] = dict(type="Pretrained", **init_cfg)
        return nn.ModuleDict({"backbone": registry.build(settings)})

    return make


@pytest.fixture
def save(tmp_path, build):
    """Write the checkpoint of a classifier: its backbone and a head."""

    def write(other=False):
        torch.manual_seed(1)
        state_dict = build(other).state_dict()
        state_dict["head.fc.weight"] = torch.rand(2, 2)
        torch.save({"state_dict": state_dict, "meta": {}}, tmp_path / "x.pth")
        return str(tmp_path / "x.pth")

    return write


@pytest.fixture
def check(monkeypatch):
    """Run the hook as a runner would, and return what it logs."""

    def run(model, **settings):
        lines = []
        monkeypatch.setattr(
            pretrained_coverage_hook, "print_log", lambda line, **kwargs: lines.append(line)
        )
        loop = object.__new__(EpochBasedTrainLoop)
        runner = SimpleNamespace(model=model, _train_loop=loop)
        PretrainedCoverageHook(**settings).before_run(runner)
        return lines

    return run


def test_own_weights_are_loaded_whole(build, save, check):
    model = build(checkpoint=save(), prefix="backbone.")
    (line,) = check(model)
    loaded, total = (int(word) for word in line.split() if word.isdigit())
    assert line.startswith("backbone (") and loaded == total > 10
    model["backbone"].init_weights()
    torch.manual_seed(1)
    expected = build().state_dict()
    found = model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_prefix_that_is_forgotten_is_named(build, save, check):
    with pytest.raises(CheckpointMismatchError, match=r"loaded 0 of .*begin with: backbone, head"):
        check(build(checkpoint=save()))


def test_other_architecture_is_refused_by_names(build, save, check):
    # In both directions: tensors that lack, and further ones.
    path = save(other=True)
    with pytest.raises(CheckpointMismatchError, match="another architecture"):
        check(build(checkpoint=path, prefix="backbone."))
    path = save()
    with pytest.raises(CheckpointMismatchError, match="strict=False. in custom_hooks"):
        check(build(other=True, checkpoint=path, prefix="backbone."))
    (line,) = check(build(other=True, checkpoint=path, prefix="backbone."), strict=False)
    assert "other shape" in line or "not in the file" in line


def test_file_that_is_absent_is_named(build, check):
    with pytest.raises(CheckpointNotFoundError, match="/no/x.pth"):
        check(build(checkpoint="/no/x.pth"))


def test_evaluation_and_random_starts_read_nothing(build, check):
    model = build(checkpoint="/no/x.pth")
    runner = SimpleNamespace(model=model, _train_loop={"max_epochs": 1})
    PretrainedCoverageHook().before_run(runner)
    assert check(build()) == []


def test_network_that_converts_names_is_left_to_itself(check):
    """mmdet's Swin takes the names of the authors' files."""
    swin = dict(type="mmdet.SwinTransformer", embed_dims=8, depths=(1,), num_heads=(1,))
    swin.update(out_indices=(0,), init_cfg=dict(type="Pretrained", checkpoint="/no/x.pth"))
    assert check(nn.ModuleDict({"backbone": DETECTION.build({**swin, "strides": (4,)})})) == []
