"""Every config parses, builds and runs; the published settings are in it."""

import copy
import functools
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, RUNNERS, DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from random_weights import QUICK, quick_start

import gcp_mm.registry  # noqa: F401
from gcp_mm.engine.output import QuietRunner
from gcp_mm.engine.preflight import _datasets
from gcp_mm.zoo.rows import CLASSIFICATION, DETECTION, load_rows

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LEAVES = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts
)
DETECTORS = [f"{row.name}.py" for row in load_rows() if row.task == DETECTION]
ROWS = [row.name for row in load_rows() if row.task == CLASSIFICATION]
FINE = "finegrained/"  # test_finegrained.py builds these


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
    with quick_start():
        model = MODELS.build(cfg.model)
    model.eval()
    return model


@pytest.fixture(scope="module")
def predict():
    """Return a function that gives what the network of a config predicts; each is built once."""
    found = {}

    def prediction(cfg):
        # Schedules and data differ between configs of one network, the way to the weights too.
        model = {**cfg.model.to_dict(), "backbone": {**cfg.model.backbone, "init_cfg": None}}
        key = repr((cfg.default_scope, model, cfg.get("data_preprocessor")))
        if key not in found:
            found[key] = run(cfg)
        return found[key]

    yield prediction
    QUICK.clear()


def run(cfg):
    """Return the prediction of a config's network, of any weights, for a random image."""
    if cfg.default_scope == "mmdet":
        # An untrained network gives every class about the same, small, score.
        cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=4)
        cfg.model.test_cfg.rpn.max_per_img = 10
    model = build(cfg)
    # Swin needs at least one window of 7 x 7 patches in every stage.
    size = (224, 224) if cfg.model.backbone.type == "SwinTransformer" else (64, 96)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, *size), np.uint8))
    if cfg.default_scope == "mmpretrain":
        from mmpretrain.structures import DataSample

        (sample,) = model.test_step({"inputs": [image], "data_samples": [DataSample()]})
        return sample
    from mmdet.structures import DetDataSample

    meta = dict(img_shape=(64, 96), ori_shape=(64, 96), scale_factor=(1.0, 1.0), img_id=0)
    data = pseudo_collate([dict(inputs=image, data_samples=DetDataSample(metainfo=meta))])
    with torch.no_grad():
        (sample,) = model.test_step(data)
    return sample


@pytest.fixture(autouse=True)
def restore_scope():
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def test_every_published_row_has_a_config_and_no_config_has_none():
    assert {name for name in LEAVES if "/" not in name} == set(DETECTORS)
    found = {name for name in LEAVES if name.startswith("imagenet/")}
    assert found == {f"imagenet/{row}.py" for row in ROWS}


@pytest.mark.parametrize("name", [name for name in LEAVES if not name.startswith(FINE)])
def test_config_builds_and_predicts(predict, name):
    cfg = load(name)
    if cfg.model.backbone.type == "gcp_mm.TIMMBackbone":
        pytest.importorskip("timm")
    sample = predict(cfg)
    if cfg.default_scope == "mmpretrain":
        assert sample.pred_score.shape == (cfg.model.head.num_classes,)
        assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)
        return
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


@pytest.mark.parametrize("row", ROWS)
def test_row_has_the_network_of_its_name(row):
    model = load(f"imagenet/{row}.py").model
    network, pooling, mode, *width = row.split("_")
    family = network.rstrip("0123456789") if network.startswith("resnet") else network
    channels = {"resnet18": 512, "resnet34": 512, "mobilenetv2": 1280, "shufflenetv2": 1024}
    channels = channels.get(network, 2048)
    width = int(width[0]) if width else 256
    backbone, neck, head = model.backbone, model.neck, model.head
    if family == "resnet":
        assert backbone.type == ("ResNet" if pooling == "gap" else "gcp_mm.GCPResNet")
        assert backbone.depth == int(network.removeprefix("resnet"))
        assert backbone.get("zero_init_residual", False) is False
        assert "strides" not in backbone
    else:
        name = {"mobilenetv2": "MobileNetV2", "shufflenetv2": "ShuffleNetV2"}[family]
        assert backbone.type == f"gcp_mm.{name}"
        assert backbone.get("widen_factor", 1.0) == 1.0
    if pooling == "gap":
        assert neck == dict(type="GlobalAveragePooling")
        assert head.in_channels == channels
    else:
        assert neck.type == "gcp_mm.GlobalCovariancePooling"
        assert (neck.in_channels, neck.reduced_channels) == (channels, width)
        assert neck.get("method", "gcp") == pooling
        assert neck.get("num_iters", 5) == 5
        activation = neck.get("act_cfg", dict(type="ReLU"))["type"]
        assert activation == ("ReLU" if family == "resnet" else "ReLU6")
        assert head.in_channels == width * (width + 1) // 2
    assert head.num_classes == 1000 and head.topk == (1, 5)
    if mode == "mindspore":
        assert (head.loss.type, head.loss.label_smooth_val) == ("LabelSmoothLoss", 0.1)
    else:
        assert head.loss == dict(type="CrossEntropyLoss", loss_weight=1.0)
    if family == "mobilenetv2":
        # N(0, 0.01) is the default of mmpretrain's head.
        assert (head.type, head.dropout_rate) == ("gcp_mm.DropoutLinearClsHead", 0.2)
        assert "init_cfg" not in head
    else:
        assert (head.type, head.init_cfg) == ("LinearClsHead", None)


@pytest.mark.parametrize("row", ROWS)
def test_row_has_the_schedule_and_the_data_of_its_name(row):
    cfg = load(f"imagenet/{row}.py")
    network, _, mode, *_ = row.split("_")
    family = network.rstrip("0123456789") if network.startswith("resnet") else network
    schedule = Config.fromfile(CONFIGS / f"_base_/schedules/{family}_{mode}.py")
    for key, value in schedule.items():
        assert cfg[key] == value, key
    # Eight processes share the batch that the learning rate was made for.
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size
    train = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    jitter = ["ColorJitter"] if family == "shufflenetv2" else []
    load_image = "gcp_mm.LoadImage"
    assert train == [load_image, "RandomResizedCrop", *jitter, "RandomFlip", "PackInputs"]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        load_step, resize, *_ = loader.dataset.pipeline
        # Pillow, and no orientation tags, as for the published numbers.
        assert load_step == {"type": load_image, "ignore_orientation": True}
        assert resize.backend == "pillow"
        assert resize.interpolation == "bilinear"
    _, resize, crop, _ = cfg.test_dataloader.dataset.pipeline
    assert (resize.type, resize.scale, resize.edge, crop.crop_size) == (
        "ResizeEdge",
        256,
        "short",
        224,
    )


def test_colours_are_jittered_as_published():
    (jitter,) = (
        step
        for step in load("imagenet/shufflenetv2_gap_lrfast.py").train_dataloader.dataset.pipeline
        if step.type == "ColorJitter"
    )
    strengths = {key: jitter.get(key) for key in ("brightness", "contrast", "saturation", "hue")}
    assert strengths == dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=None)


@pytest.mark.parametrize("name", LEAVES)
def test_config_depends_on_no_dead_host_and_installs_the_loader(name):
    cfg = load(name)
    assert "download.openmmlab.com" not in repr(cfg._cfg_dict)
    assert "gcp_mm.registry" in cfg.custom_imports.imports
    assert cfg.default_hooks.checkpoint.backend_args.backend == "gcp_mm_atomic"
    hooks = {hook.type for hook in cfg.custom_hooks}
    further = {"finetune": "gcp_mm.PretrainedRequiredHook", "landscape": "gcp_mm.LandscapeHook"}
    further[FINE] = further["timm/"] = further["finetune"]
    assert cfg.default_hooks.checkpoint.type == "gcp_mm.CheckpointHook"
    # For runners that the tools of mmpretrain and mmdet build.
    assert cfg.default_hooks.work_folder.type == "gcp_mm.WorkFolderHook"
    assert RUNNERS.get(cfg.runner_type) is QuietRunner
    expected = {"gcp_mm.BatchSizeCheckHook", "gcp_mm.CheckpointCoverageHook"}
    checks = ("NumClasses", "Finite", "Resume")
    expected.update(f"gcp_mm.{check}CheckHook" for check in checks)
    expected |= {"gcp_mm.PretrainedCoverageHook", "gcp_mm.LogIntervalHook"}
    expected.add("gcp_mm.LoaderWorkersHook")
    expected.update(hook for part, hook in further.items() if part in name)
    if further["finetune"] in expected:
        expected.add("gcp_mm.PixelCheckHook")
    if cfg.default_scope == "mmdet":
        expected.add("gcp_mm.CocoCheckHook")
    else:
        expected.add("gcp_mm.FeatureMapCheckHook")
    assert hooks == expected


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


@pytest.mark.parametrize("pooling", ["gap", "gcp"])
def test_shufflenet_starts_as_pytorch_does(pooling):
    """Every weight of a layer is uniform within sqrt(1 / fan_in), the classifier's bias too."""
    torch.manual_seed(0)
    model = MODELS.build(load(f"imagenet/shufflenetv2_{pooling}_lrnorm.py").model)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            bound = module.weight[0].numel() ** -0.5
            assert module.weight.abs().max() <= bound
            expected = bound / 3**0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.2)
    assert 0 < model.head.fc.bias.abs().max() <= model.head.fc.in_features**-0.5


@pytest.mark.parametrize("row", ["resnet18_gap_lrnorm", "resnet18_gcp_lrnorm"])
def test_resnet_starts_as_the_original_does(row):
    torch.manual_seed(0)
    model = MODELS.build(load(f"imagenet/{row}.py").model)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
        elif isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == 1).all() and not module.bias.any()
    fc = model.head.fc
    assert fc.weight.std().item() == pytest.approx((3 * fc.in_features) ** -0.5, rel=0.02)
    assert fc.bias.any()


@pytest.mark.parametrize("name", [name for name in LEAVES if "/" in name])
def test_classifier_skips_no_image_in_evaluation(name):
    """mmpretrain's data sets replace an unreadable image by another one, in evaluation too."""
    cfg = load(name)
    if cfg.default_scope != "mmpretrain":
        return
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        known = ("ImageNet", "ClassFolder", "CUB", "FGVCAircraft", "StanfordCars")
        assert dataset.type in [f"gcp_mm.{kind}" for kind in known]
        split = "test" if name.startswith(FINE) else "val"
        assert dataset.get("test_mode", dataset.get("split") == split) is True


@pytest.mark.parametrize("name", ["imagenet/resnet18_gcp_lrfast", "demo/resnet18_gcp_digits"])
def test_a_class_takes_every_key_of_the_visualizer(name):
    """As mmpretrain's ``browse_dataset`` builds it: with the keys, past the registry."""
    settings = load(f"{name}.py").visualizer
    assert settings.pop("type") == "UniversalVisualizer"
    inspect.signature(Visualizer).bind(**settings)
