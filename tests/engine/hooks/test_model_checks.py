"""A batch of another size, images that are too small, and classes of other data are named."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.models import ClsDataPreprocessor
from tiny_runs import only_error
from torch import nn
from torch.optim import SGD

from gcp_mm.engine.hooks import (
    BatchSizeCheckHook,
    FeatureMapCheckHook,
    NumClassesCheckHook,
    PixelCheckHook,
    model_checks,
)
from gcp_mm.errors import UserError
from gcp_mm.models.classification import GlobalCovariancePooling


@pytest.fixture
def warnings(monkeypatch):
    """Run the hook and return its warnings."""

    def run(batch_size=32, processes=8, accumulated=None, scale=None, lr=0.1, **changes):
        messages = []
        monkeypatch.setattr(model_checks, "warn", messages.append)
        optim_wrapper = {"optimizer": {"type": "SGD", **({"lr": lr} if lr else {})}}
        if accumulated is not None:
            optim_wrapper["accumulative_counts"] = accumulated
        settings = {
            "train_dataloader": {"batch_size": batch_size},
            "optim_wrapper": optim_wrapper,
            "auto_scale_lr": {"base_batch_size": 256, **(scale or {})},
            **changes,
        }
        BatchSizeCheckHook().before_train(
            SimpleNamespace(cfg=Config(settings), world_size=processes)
        )
        return messages

    return run


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"processes": 4, "batch_size": 64},
        {"processes": 1, "batch_size": 64, "accumulated": 4},
        {"processes": 1, "scale": {"enable": True}},
        {"processes": 1, "auto_scale_lr": None},
        {"processes": 1, "auto_scale_lr": {}},
        {"train_dataloader": {"batch_sampler": {"type": "X", "batch_size": 3}}},
    ],
)
def test_silent_where_nothing_is_wrong(warnings, setting):
    assert warnings(**setting) == []


@pytest.mark.parametrize(
    ("batch_size", "processes", "batch"), [(32, 1, 32), (8, 2, 16), (128, 8, 1024)]
)
def test_warning_names_both_batches_and_the_rate_that_mmengine_would_set(
    warnings, batch_size, processes, batch
):
    (message,) = warnings(batch_size, processes)
    assert "learning rate 0.1 belongs to a batch of 256" in message
    assert f"has {batch} ({batch_size} per process x {processes} processes)" in message
    assert f"pass --auto-scale-lr to train with {scaled(batch_size, processes):g}" in message


def scaled(batch_size, processes):
    """Return what mmengine makes of 0.1."""
    wrapper = Runner.build_optim_wrapper(
        SimpleNamespace(), {"optimizer": SGD(nn.Linear(1, 1).parameters(), lr=0.1)}
    )
    runner = SimpleNamespace(
        _train_dataloader={"batch_size": batch_size},
        world_size=processes,
        logger=logging.getLogger("scaled"),
        param_schedulers=None,
    )
    Runner.scale_lr(runner, wrapper, {"enable": True, "base_batch_size": 256})
    return wrapper.optimizer.param_groups[0]["lr"]


def test_accumulation_counts_and_needs_another_cure(warnings):
    (message,) = warnings(32, 2, accumulated=2)
    assert "128 (32 per process x 2 processes x 2 accumulated)" in message
    assert "set optim_wrapper.optimizer.lr=0.05" in message
    # It would set 0.025.
    assert "--auto-scale-lr" not in message


@pytest.mark.parametrize("changes", [{"lr": None}, {"optim_wrapper": {"generator": {}}}])
def test_rate_that_the_config_leaves_to_the_optimizer(warnings, changes):
    (message,) = warnings(32, 1, **changes)
    assert "the learning rate belongs to a batch of 256, but this run has 32" in message
    assert "pass --auto-scale-lr to train with 0.125 times it" in message


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.neck = GlobalCovariancePooling(in_channels=4, reduced_channels=2, num_extra_tokens=1)


@pytest.fixture
def lines(monkeypatch):
    found = []
    monkeypatch.setattr(model_checks, "warn", found.append)
    return found


def run(features, mode="train", batches=2, compiled=False):
    hook = FeatureMapCheckHook()
    runner = SimpleNamespace(model=Network(), cfg={"compile": compiled})
    batch = {"inputs": [torch.zeros(3, 32, 48)]}
    for index in range(batches):
        getattr(hook, f"before_{mode}_iter")(runner, index, batch)
        runner.model.neck(features)
        getattr(hook, f"after_{mode}_iter")(runner, index, batch, {})
    assert not runner.model.neck._forward_pre_hooks
    return runner


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize(
    ("features", "shape"), [(torch.rand(2, 4, 1, 1), "1 x 1"), (torch.rand(2, 2, 4), "1")]
)
def test_one_position_is_warned_of_once(lines, mode, features, shape):
    runner = run(features, mode)
    assert len(lines) == 1
    assert lines[0].startswith(f"images of 32 x 48 pixels leave a feature map of {shape}: the cov")
    # It is as the line says.
    assert not runner.model.neck(features)[0].any()


@pytest.mark.parametrize("features", [torch.rand(2, 4, 1, 2), (torch.rand(2, 3, 4),)])
def test_two_positions_are_enough(lines, features):
    run(features)
    assert lines == []


@pytest.mark.parametrize("mode", ["train", "test"])
def test_later_batches_are_not_looked_at(lines, mode):
    """Also where the first one does not get to the neck."""
    runner, hook = SimpleNamespace(model=Network(), cfg={}), FeatureMapCheckHook()
    getattr(hook, f"before_{mode}_iter")(runner, 0, {})
    assert runner.model.neck._forward_pre_hooks
    getattr(hook, f"after_{mode}_iter")(runner, 0, {}, {})
    assert not runner.model.neck._forward_pre_hooks
    runner.model.neck(torch.rand(2, 4, 1, 1))
    assert lines == []


def test_compiled_network_is_left_alone(lines):
    run(torch.rand(2, 4, 1, 1), compiled=True)
    assert lines == []


def test_network_without_pooling_passes(lines):
    runner = SimpleNamespace(model=nn.Linear(1, 1), cfg={})
    hook = FeatureMapCheckHook()
    hook.before_train_iter(runner, 0, {})
    hook.after_train_iter(runner, 0, {}, {})
    assert lines == []


IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def start(mean, std, network, load_from="x.pth", **backbone):
    """Give the hook a network of timm and the pixels of a config."""
    cfg = Config({"model": {"backbone": {"model_name": "net", **backbone}}})
    model = nn.Module()
    model.data_preprocessor = ClsDataPreprocessor(mean=mean, std=std)
    model.backbone = SimpleNamespace(timm_model=network, init_cfg=backbone.get("init_cfg"))
    PixelCheckHook().before_train(SimpleNamespace(cfg=cfg, model=model, _load_from=load_from))


def network(**settings):
    return SimpleNamespace(pretrained_cfg=settings)


def test_pixels_of_another_network_are_warned_of_with_the_cure(lines):
    timm = pytest.importorskip("timm")
    start([127] * 3, [128] * 3, timm.create_model("test_resnet", num_classes=0))
    start(None, None, network(mean=(0.5,) * 3, std=(1 / 255,) * 3))
    start([127] * 3, [128] * 3, network(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    unnormalised, other = lines
    assert unnormalised.endswith('--cfg-options data_preprocessor.mean="[127.5,127.5,127.5]"')
    assert other.endswith(
        "net was pretrained with, as timm says: pass --cfg-options "
        'data_preprocessor.mean="[123.675,116.28,103.53]" '
        'data_preprocessor.std="[58.395,57.12,57.375]"'
    )


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"load_from": None}, 0),
        ({"load_from": None, "pretrained": True}, 1),
        ({"load_from": None, "init_cfg": {"type": "Pretrained"}}, 1),
    ],
)
def test_pixels_matter_where_weights_are_pretrained(lines, settings, count):
    start(*IMAGENET, network(**HALF), **settings)
    assert len(lines) == count


@pytest.mark.parametrize("known", [network(), network(mean=(0.5,)), SimpleNamespace(), None])
def test_pixels_of_what_timm_does_not_know_pass(lines, known):
    start(*IMAGENET, known)
    assert lines == []


def runner(num_classes, classes):
    dataset = SimpleNamespace(metainfo={"classes": classes}, data_root="data/x")
    loader = SimpleNamespace(dataset=dataset)
    model = SimpleNamespace(head=SimpleNamespace(num_classes=num_classes))
    return SimpleNamespace(
        model=model, train_dataloader=loader, test_dataloader=loader, val_loop=None
    )


@pytest.mark.parametrize("mode", ["train", "test"])
def test_other_number_of_classes_is_refused(mode):
    check = getattr(NumClassesCheckHook(), f"before_{mode}")
    check(runner(4, ("a", "b", "c", "d")))
    with pytest.raises(UserError) as error:
        check(runner(10, ("a", "b", "c", "d")))
    for part in ("has 10 classes", "have 4 (a, b, c, ...", "data/x", "model.head.num_classes=4"):
        assert part in str(error.value)


@pytest.mark.parametrize("dataset", [SimpleNamespace(metainfo=None), SimpleNamespace()])
def test_data_without_class_names_are_let_through(dataset):
    without = runner(10, ())
    without.train_dataloader.dataset = dataset
    NumClassesCheckHook().before_train(without)


def with_validation(train, val):
    both = runner(len(train), train)
    both.val_loop = object()
    both.val_dataloader = runner(len(train), val).train_dataloader
    return both


def test_validation_with_other_classes_is_refused():
    hook = NumClassesCheckHook()
    hook.before_train(with_validation(("a", "b", "c"), ("a", "b", "c")))
    with pytest.raises(UserError, match="class 2 is 'c' in training, but 'd' in the val data"):
        hook.before_train(with_validation(("a", "b", "c"), ("a", "b", "d")))
    with pytest.raises(UserError, match="has 3 classes.*val data have 2"):
        hook.before_train(with_validation(("a", "b", "c"), ("b", "c")))


def test_classes_of_the_checkpoint_count_in_a_test():
    hook = NumClassesCheckHook()
    hook.after_load_checkpoint(None, {"meta": {"dataset_meta": {"classes": ("x", "y")}}})
    hook.before_test(runner(2, ("x", "y")))
    with pytest.raises(UserError, match="class 1 is 'y' in training, but 'z' in the test data"):
        hook.before_test(runner(2, ("x", "z")))
    # A published file says nothing about its classes.
    hook.after_load_checkpoint(None, {"state_dict": {}})
    hook.before_test(runner(2, ("x", "z")))


def detector(number, **head):
    parts = {name: nn.Module() for name in ("rpn_head", "roi_head", "other")}
    parts["rpn_head"].num_classes = 1
    parts["roi_head"].bbox_head = nn.ModuleList([nn.Module(), nn.Module()])
    for cascade in parts["roi_head"].bbox_head:
        cascade.num_classes = number
    parts["roi_head"].mask_head = nn.Module()
    for name, value in {"num_classes": number, **head}.items():
        setattr(parts["roi_head"].mask_head, name, value)
    return nn.ModuleDict(parts)


def test_every_head_of_a_detector_counts():
    hook = NumClassesCheckHook()
    of_three = runner(None, ("a", "b", "c"))
    of_three.model = detector(3)
    hook.before_train(of_three)
    of_three.model = detector(80)
    with pytest.raises(UserError) as error:
        hook.before_train(of_three)
    assert "has 80 classes (model.roi_head.bbox_head.0.num_classes)" in str(error.value)
    for name in ("bbox_head.0", "bbox_head.1", "mask_head"):
        assert f"model.roi_head.{name}.num_classes=3" in str(error.value)
    of_three.model = detector(3, num_classes=80)
    with pytest.raises(UserError, match="80 classes .model.roi_head.mask_head.num_classes"):
        hook.before_train(of_three)
    of_three.model = detector(3, num_classes=80, class_agnostic=True)
    hook.before_train(of_three)


def test_classes_of_the_checkpoint_count_when_it_is_continued():
    hook = NumClassesCheckHook()
    hook.after_load_checkpoint(None, {"meta": {"dataset_meta": {"classes": ("x", "y")}}})
    started = runner(2, ("y", "x"))
    # Weights to start from may come from other data.
    hook.before_train(started)
    started._resume = True
    with pytest.raises(UserError, match="class 0 is 'x' in the checkpoint that is continued"):
        hook.before_train(started)


def test_network_without_a_head_and_data_without_classes_pass():
    NumClassesCheckHook().before_train(runner(None, ("a",)))
    NumClassesCheckHook().before_train(runner(10, None))


def test_training_stops_before_the_first_batch(call_tool, classifier, tmp_path):
    message = only_error(
        *call_tool(
            *("tools/train.py", classifier, "--work-dir", tmp_path),
            *("--cfg-options", "model.head.num_classes=5"),
        )
    )
    assert "has 5 classes" in message and "have 3 (class_0, class_1, class_2" in message
