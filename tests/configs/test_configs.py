"""Every config parses, builds and runs; the published settings are in it."""

import copy
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope, init_default_scope

import gcp_mm.registry  # noqa: F401
from gcp_mm.engine.preflight import _datasets

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LEAVES = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts
)
DETECTORS = [
    f"{head}_rcnn_r{depth}_{pooling}.py"
    for head in ("faster", "mask")
    for depth in (50, 101)
    for pooling in ("gap", "gcpd", "gcpm")
]


@functools.cache
def parse(name):
    return Config.fromfile(CONFIGS / name)


def load(name):
    cfg = copy.deepcopy(parse(name))
    init_default_scope(cfg.default_scope)
    return cfg


def build(cfg):
    if cfg.model.backbone.get("init_cfg"):
        cfg.model.backbone.init_cfg = None
    if cfg.get("data_preprocessor"):
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
    model.eval()
    return model


@pytest.fixture(autouse=True)
def restore_scope():
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def test_the_twelve_detectors_and_the_classifiers_exist():
    assert set(DETECTORS) <= set(LEAVES)
    assert {"imagenet/resnet18_gcp_lrnorm.py", "imagenet/resnet50_gcp_lrnorm.py"} <= set(LEAVES)


@pytest.mark.parametrize("name", LEAVES)
def test_config_builds_and_predicts(name):
    cfg = load(name)
    if cfg.default_scope == "mmdet":
        # An untrained network gives every class about the same, small, score.
        cfg.model.test_cfg.rcnn.score_thr = 0.0
        cfg.model.test_cfg.rpn.max_per_img = 10
    model = build(cfg)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 64, 96), np.uint8))
    if cfg.default_scope == "mmpretrain":
        from mmpretrain.structures import DataSample

        (sample,) = model.test_step({"inputs": [image], "data_samples": [DataSample()]})
        assert sample.pred_score.shape == (cfg.model.head.num_classes,)
        assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)
        return
    from mmdet.structures import DetDataSample

    meta = dict(img_shape=(64, 96), ori_shape=(64, 96), scale_factor=(1.0, 1.0), img_id=0)
    data = pseudo_collate([dict(inputs=image, data_samples=DetDataSample(metainfo=meta))])
    with torch.no_grad():
        (sample,) = model.test_step(data)
    predictions = sample.pred_instances
    assert len(predictions) > 0
    assert torch.isfinite(predictions.bboxes).all()
    assert hasattr(predictions, "masks") == name.split("/")[-1].startswith("mask")


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_has_the_published_schedule(name):
    cfg = load(name)
    assert cfg.train_cfg.max_epochs == 12
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ("SGD", 0.01)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 1e-4)
    (steps,) = (s for s in cfg.param_scheduler if s.type == "MultiStepLR")
    assert (steps.milestones, steps.gamma) == ([8, 11], 0.1)
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8)
    assert cfg.train_dataloader.batch_size * 8 == 8  # eight processes


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_backbone_matches_its_name(name):
    backbone = load(name).model.backbone
    depth, pooling = name.removesuffix(".py").split("_")[2:]
    assert backbone.depth == int(depth[1:])
    kind = {"gap": "ResNet", "gcpd": "gcp_mm.GCPDResNet", "gcpm": "gcp_mm.GCPMResNet"}[pooling]
    assert backbone.type == kind
    if pooling == "gap":
        assert backbone.init_cfg.checkpoint == f"torchvision://resnet{depth[1:]}"
    else:
        assert backbone.init_cfg.prefix == "backbone."


@pytest.mark.parametrize("depth", [18, 50])
def test_classifier_has_the_published_recipe(depth):
    cfg = load(f"imagenet/resnet{depth}_gcp_lrnorm.py")
    assert cfg.train_cfg.max_epochs == 100
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ("SGD", 0.1)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 1e-4)
    # Batch norms and biases decay too, as in the original: no paramwise exception.
    assert "paramwise_cfg" not in cfg.optim_wrapper
    assert cfg.auto_scale_lr.base_batch_size == 256
    assert cfg.train_dataloader.batch_size * 8 == 256
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        (load_step, resize, *_) = loader.dataset.pipeline
        assert load_step.imdecode_backend == "pillow"
        assert resize.backend == "pillow"


def test_lrnorm_equals_the_golden_table(shared):
    from torch.optim import SGD

    cfg = load("imagenet/resnet50_gcp_lrnorm.py")
    schedule = cfg.param_scheduler
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    from mmengine.optim import MultiStepLR

    scheduler = MultiStepLR(optimizer, milestones=schedule.milestones, gamma=schedule.gamma)
    rows = (shared / "golden" / "lr" / "ResNet_LRnorm.csv").read_text().splitlines()[1:]
    assert len(rows) == cfg.train_cfg.max_epochs
    for row in rows:
        lr = float(row.split(",")[1])
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-12, abs=1e-15)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", LEAVES)
def test_config_depends_on_no_dead_host_and_installs_the_loader(name):
    cfg = load(name)
    assert "download.openmmlab.com" not in repr(cfg._cfg_dict)
    assert "gcp_mm.registry" in cfg.custom_imports.imports
    assert cfg.default_hooks.checkpoint.backend_args.backend == "gcp_mm_atomic"
    hooks = {hook.type for hook in cfg.custom_hooks}
    assert hooks == {"gcp_mm.BatchSizeCheckHook", "gcp_mm.CheckpointCoverageHook"}


@pytest.mark.parametrize("name", LEAVES)
def test_leaf_is_a_few_lines_over_its_base(name):
    lines = (CONFIGS / name).read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    # A leaf of a published row is a delta; the demo replaces data and sizes as well.
    assert len(code) <= (95 if name.startswith("demo/") else 12)


@pytest.mark.parametrize("name", LEAVES)
def test_every_dataset_names_its_root(name):
    cfg = load(name)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for key, dataset in _datasets(cfg[loader], loader) if cfg[loader] else ():
            assert dataset.data_root.startswith("data/"), key
