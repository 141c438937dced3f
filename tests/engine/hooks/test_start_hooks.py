"""Weights of another network are refused before they are loaded, and so is a start without any."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS as DETECTION
from mmengine.config import Config
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import MODELS as CLASSIFICATION
from torch import nn

from gcp_mm.engine.hooks import (
    CheckpointCoverageHook,
    PretrainedCoverageHook,
    PretrainedRequiredHook,
    start_hooks,
)
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError


def network(depth=2, classes=3):
    layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(depth)])
    return nn.ModuleDict({"backbone": layers, "head": nn.Linear(4, classes)})


class Wrapped(nn.parallel.DataParallel):
    """What mmengine counts as a model wrapper, without its devices."""

    def __init__(self, module):
        nn.Module.__init__(self)
        self.module = module


@pytest.fixture
def load(monkeypatch):
    """Run the hook as a runner would, and return what it logs."""

    def run(model, weights, train=False, resume=False, name="x.pth"):
        lines = []
        monkeypatch.setattr(start_hooks, "log", lines.append)
        # mmengine keeps the loop's config, also where only a test runs, until training begins.
        loop = object.__new__(EpochBasedTrainLoop) if train else {"max_epochs": 1}
        runner = SimpleNamespace(model=model, _load_from=name, _train_loop=loop, _resume=resume)
        CheckpointCoverageHook().after_load_checkpoint(runner, weights)
        return lines

    return run


RUNS = {"test": {}, "fine-tune": {"train": True}, "resume": {"train": True, "resume": True}}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("layout", ["state_dict", "bare", "module."])
def test_own_checkpoint_is_reported(load, run, layout):
    weights = network().state_dict()
    if layout == "module.":
        weights = {f"module.{key}": value for key, value in weights.items()}
    checkpoint = weights if layout == "bare" else {"state_dict": weights, "meta": {}}
    assert load(network(), checkpoint, **RUNS[run]) == ["loaded 6 of 6 tensors from x.pth"]


@pytest.mark.parametrize("run", ["test", "resume"])
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (network(depth=1), "not in the file: backbone.1.weight, backbone.1.bias"),
        (network(classes=5), r"head.weight \(\(3, 4\), \(5, 4\)\)"),
    ],
)
def test_checkpoint_of_another_network_is_refused_with_names(load, run, other, named):
    with pytest.raises(CheckpointMismatchError, match=named) as caught:
        load(network(), {"state_dict": other.state_dict()}, **RUNS[run])
    message = str(caught.value)
    assert message.startswith("x.pth does not fit the ModuleDict of this config: loaded 4 of 6")
    assert "the config that the checkpoint was trained with" in message


def test_fine_tuning_may_change_the_head_and_says_so(load):
    lines = load(network(), network(classes=5).state_dict(), train=True)
    assert lines[0] == "loaded 4 of 6 tensors from x.pth"
    assert lines[1].startswith("left at their initial values: ")
    assert "head.weight ((3, 4), (5, 4)), head.bias ((3,), (5,))" in lines[1]


@pytest.mark.parametrize("run", RUNS)
def test_checkpoint_of_which_nothing_fits_is_refused(load, run):
    weights = {f"model.{key}": value for key, value in network().state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match="loaded 0 of 6.*only in the file: model"):
        load(network(), {"state_dict": weights}, **RUNS[run])


def test_further_tensors_in_the_file_are_allowed(load):
    weights = {**network().state_dict(), "ema.steps": torch.zeros(1)}
    assert load(network(), weights) == ["loaded 6 of 6 tensors from x.pth"]


def test_network_of_a_distributed_run_is_looked_into(load):
    assert load(Wrapped(network()), network().state_dict()) == ["loaded 6 of 6 tensors from x.pth"]


def test_latest_checkpoint_is_named_as_such(load):
    with pytest.raises(CheckpointMismatchError, match="^the latest checkpoint does not fit"):
        load(network(), network(depth=1).state_dict(), name=None, **RUNS["resume"])


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
            settings["init_cfg"] = {"type": "Pretrained", **init_cfg}
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
        monkeypatch.setattr(start_hooks, "log", lines.append)
        monkeypatch.setattr(start_hooks, "warn", lines.append)
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


@pytest.mark.parametrize("type_", ["Pretrained", "mmengine.Pretrained", PretrainedInit])
def test_prefix_that_is_forgotten_is_named(build, save, check, type_):
    with pytest.raises(CheckpointMismatchError, match=r"loaded 0 of .*begin with: backbone, head"):
        check(build(checkpoint=save(), type=type_))


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


def runner(model=None, train=True, resume=False, **cfg):
    # mmengine keeps the loop's config, also where only a test runs, until training begins.
    loop = object.__new__(EpochBasedTrainLoop) if train else {"max_epochs": 1}
    cfg = Config(dict(model=dict(backbone=dict(type="X")), work_dir="/no/such", **cfg))
    return SimpleNamespace(
        model=model, cfg=cfg, _train_loop=loop, _resume=resume, _load_from="x.pth"
    )


@pytest.fixture
def load_backbone(monkeypatch):
    """Run the hook as a runner that loads would, and return what it logs."""
    lines = []
    monkeypatch.setattr(start_hooks, "log", lines.append)

    def run(model, weights, **how):
        # A module dictionary has no attributes for its parts, which the networks have.
        model.backbone = model["backbone"]
        PretrainedRequiredHook().after_load_checkpoint(runner(model, **how), weights)
        return lines

    return run


def test_only_training_needs_weights():
    PretrainedRequiredHook().before_run(runner(train=False))
    with pytest.raises(UserError, match="load_from is empty"):
        PretrainedRequiredHook().before_run(runner())
    without_config = runner()
    without_config.cfg = Config({})
    PretrainedRequiredHook().before_run(without_config)


@pytest.mark.parametrize("other", [network(), network(classes=7)])
def test_whole_backbone_is_reported(load_backbone, other):
    assert load_backbone(network(), {"state_dict": other.state_dict()}) == [
        "loaded 4 of 4 tensors of the backbone from x.pth"
    ]


WRONG = {
    "only the head": (
        {"head.weight": torch.zeros(3, 4)},
        "loaded 0 of 4 .* not in the file: backbone.0.weight",
    ),
    "less deep": (
        network(depth=1).state_dict(),
        "loaded 2 of 4 .*: backbone.1.weight",
    ),
    "deeper": (
        network(depth=3).state_dict(),
        "loaded 4 of 4 .* only in the file: backbone.2",
    ),
    "other shape": (
        {**network().state_dict(), "backbone.1.bias": torch.zeros(5)},
        r"loaded 3 of 4 .* backbone.1.bias \(\(4,\), \(5,\)\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_anything_else_is_refused_with_names(load_backbone, case):
    weights, named = WRONG[case]
    with pytest.raises(CheckpointMismatchError, match=named) as caught:
        load_backbone(network(), {"state_dict": weights})
    message = str(caught.value)
    assert message.startswith("x.pth does not hold the Sequential that this config fine-tunes")
    assert "tools/convert_checkpoint.py SRC DST" in message


@pytest.mark.parametrize("how", [dict(train=False), dict(resume=True)])
def test_evaluation_and_resuming_are_left_to_the_coverage_hook(load_backbone, how):
    assert load_backbone(network(), {"state_dict": {}}, **how) == []
