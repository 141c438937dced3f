"""Options of mmengine that change how a network trains, on a classifier and on Mask R-CNN."""

import pytest
import torch
from mmdet.models.backbones.resnet import BasicBlock
from tiny_runs import (
    DETECTOR,
    ITERATIONS,
    forget_runs,
    largest_difference,
    read_checkpoint,
    read_scalars,
    write_config,
)

from gcp_mm.engine import runner
from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import train
from gcp_mm.errors import UserError
from gcp_mm.models.detection import GCPMResNet
from gcp_mm.registry import MODELS

CHANNELS_LAST = dict(type="gcp_mm.ChannelsLastHook")
EMA = dict(type="EMAHook", momentum=0.1)
NETWORKS = pytest.mark.parametrize("network", ["classifier", "detector"])
# Every kind of layer once: what compiles it or takes its states needs time for each.
SHORT = """
_base_ = '{detector}'

model = dict(
    backbone=dict(type='gcp_mm.GCPMResNet10', depth=10, out_indices=(2, 3)),
    neck=dict(in_channels=[64, 128], num_outs=2),
    rpn_head=dict(anchor_generator=dict(ratios=[1.0], strides=[16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[16, 32]),
        mask_roi_extractor=dict(featmap_strides=[16, 32])))
"""


@MODELS.register_module()
class GCPMResNet10(GCPMResNet):
    """One block in each stage."""

    arch_settings = {10: (BasicBlock, (1, 1, 1, 1))}


@pytest.fixture(scope="module")
def configs(smooth_classifier, scenes, repo, tmp_path_factory):
    """Return the config of each network; both start from random weights."""
    scratch = DETECTOR.replace("init_cfg=dict(checkpoint='{pretrained}')", "init_cfg=None")
    folder = tmp_path_factory.mktemp("detector")
    whole = write_config(folder / "tiny_mask_rcnn.py", scratch, repo=repo, data=scenes)
    short = write_config(folder / "short_mask_rcnn.py", SHORT, detector=whole)
    return {"classifier": smooth_classifier, "detector": short}


@pytest.fixture(scope="module")
def run(configs):
    """Train a network in this process for an epoch; return the runner and the losses."""

    def start(
        network,
        work_dir,
        hooks=(),
        epochs=1,
        steps=None,
        amp=False,
        resume=False,
        by_epoch=False,
        **options,
    ):
        cfg = load_config(str(configs[network]), options, str(work_dir))
        cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), *hooks]
        cfg.train_cfg.update(max_epochs=epochs, val_interval=99)
        if steps:
            cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=steps, val_interval=99)
        cfg.default_hooks.checkpoint.update(by_epoch=by_epoch, interval=1, max_keep_ckpts=-1)
        try:
            runner = train(cfg, amp=amp, resume=resume)
        finally:
            forget_runs()
        logged, _ = read_scalars(work_dir)
        return runner, [logged[step]["loss"] for step in sorted(logged)]

    return start


@pytest.fixture(scope="module")
def plain(run, tmp_path_factory):
    """Return the losses of training without any option, and the weights after each step."""
    kept = {}

    def get(network):
        if network not in kept:
            work_dir = tmp_path_factory.mktemp("plain")
            _, losses = run(network, work_dir)
            kept[network] = losses, [weights(work_dir, step + 1) for step in range(len(losses))]
        return kept[network]

    return get


def weights(work_dir, step):
    """Return the weights after a step."""
    return read_checkpoint(work_dir / f"iter_{step}.pth")["state_dict"]


def momenta(work_dir, step):
    """Return the momenta after a step; after the first they are the gradients and the decay."""
    states = read_checkpoint(work_dir / f"iter_{step}.pth")["optimizer"]["state"]
    return {number: state["momentum_buffer"] for number, state in states.items()}


@NETWORKS
def test_channels_last(run, plain, tmp_path, network):
    layouts = []

    def watch(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            layouts.append(output.is_contiguous(memory_format=torch.channels_last))

    handle = torch.nn.modules.module.register_module_forward_hook(watch)
    try:
        runner, losses = run(network, tmp_path, hooks=[CHANNELS_LAST])
    finally:
        handle.remove()
    assert losses == pytest.approx(plain(network)[0], rel=1e-4)
    assert len(layouts) > 10
    assert all(layouts)
    kernels = [weight for weight in runner.model.parameters() if weight.dim() == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@NETWORKS
def test_flexible_runner(run, plain, tmp_path, network):
    runner, losses = run(network, tmp_path, runner_type="FlexibleRunner")
    assert type(runner).__name__ == "FlexibleRunner"
    expected, steps = plain(network)
    assert losses == expected
    assert largest_difference(weights(tmp_path, len(steps)), steps[-1]) == 0


@NETWORKS
def test_mixed_precision_on_the_cpu(run, plain, tmp_path, network):
    dtypes = {}

    def watch(module, inputs, output):
        name = type(module).__name__
        if name in ("Conv2d", "GlobalCovariancePool") and isinstance(output, torch.Tensor):
            dtypes.setdefault(name, set()).add(output.dtype)

    handle = torch.nn.modules.module.register_module_forward_hook(watch)
    try:
        runner, losses = run(network, tmp_path, amp="bfloat16")
    finally:
        handle.remove()
    assert type(runner.optim_wrapper).__name__ == "CPUAmpOptimWrapper"
    assert torch.bfloat16 in dtypes["Conv2d"]
    assert {weight.dtype for weight in runner.model.parameters()} == {torch.float32}
    expected, _ = plain(network)
    assert losses != expected
    assert losses[0] == pytest.approx(expected[0], rel=0.02)


ONE_STAGE = {
    "model.backbone.arch": dict(depths=[1], channels=[8]),
    "model.backbone.out_indices": [0],
    "model.neck.in_channels": 8,
}


# One step of the detector is dozens of graphs, many of them for images of any number of boxes; a
# second image would compile a third of them again.
@pytest.mark.parametrize(
    ("network", "steps", "options"),
    [("classifier", ITERATIONS, ONE_STAGE), ("detector", 1, {"train_dataloader.batch_size": 1})],
    ids=["classifier", "detector"],
)
def test_compiled_graph_trains_like_the_network(run, tmp_path, network, steps, options):
    """The graph that mmengine's compile=True captures, without the minutes of its C++ compiler."""
    _, expected = run(network, tmp_path / "plain", steps=steps, **options)
    torch.compiler.reset()
    compiled = dict(options, compile=dict(backend="eager"))
    # Each function once: what comes again with another number of boxes, runs without a graph.
    with torch._dynamo.config.patch(recompile_limit=1):
        _, losses = run(network, tmp_path / "graph", steps=steps, **compiled)
    assert losses == pytest.approx(expected, rel=1e-4)
    found, sums = (momenta(tmp_path / name, steps) for name in ("graph", "plain"))
    assert largest_difference(found, sums) < 1e-4
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    torch.compiler.reset()


def test_accumulated_gradients_are_those_of_the_whole_batch(run, tmp_path):
    # No layer of it depends on how a batch is split.
    loader = "train_dataloader.batch_size"
    run("classifier", tmp_path / "whole", **{loader: 4})
    accumulate = {"optim_wrapper.accumulative_counts": 2}
    _, losses = run("classifier", tmp_path / "half", **{loader: 2}, **accumulate)
    assert len(losses) == 2 * ITERATIONS
    one, two = weights(tmp_path / "whole", ITERATIONS), weights(tmp_path / "half", 2 * ITERATIONS)
    assert largest_difference(two, one) < 1e-5
    # The comparison would notice gradients that are left out.
    assert largest_difference(weights(tmp_path / "whole", 1), one) > 1e-4


def test_detector_steps_once_for_two_batches(run, plain, tmp_path):
    _, losses = run("detector", tmp_path, **{"optim_wrapper.accumulative_counts": 2})
    expected, _ = plain("detector")
    # Its proposals are drawn batch by batch, so that no other split gives the same losses.
    assert losses[0] == expected[0]
    assert losses[1] != expected[1]
    states = [
        read_checkpoint(tmp_path / f"iter_{step}.pth")["optimizer"]["state"] for step in (1, 2)
    ]
    assert [len(state) > 0 for state in states] == [False, True]


@NETWORKS
def test_averaged_weights_are_the_closed_form(run, plain, tmp_path, network):
    _, losses = run(network, tmp_path, hooks=[EMA])
    expected, steps = plain(network)
    assert losses == expected
    checkpoint = read_checkpoint(tmp_path / f"iter_{len(steps)}.pth")
    # mmengine saves the average as the weights, and the trained weights in its place.
    trained = {f"module.{name}": value for name, value in steps[-1].items()}
    found = {name: checkpoint["ema_state_dict"][name] for name in trained}
    assert largest_difference(found, trained) == 0
    share = [0.9 ** (len(steps) - 1)] + [
        0.1 * 0.9 ** (len(steps) - 1 - step) for step in range(1, len(steps))
    ]
    for name, value in checkpoint["state_dict"].items():
        if value.is_floating_point() and "running" not in name:
            average = sum(
                part * step[name].double() for part, step in zip(share, steps, strict=True)
            )
            torch.testing.assert_close(value.double(), average, rtol=1e-5, atol=1e-7)


@NETWORKS
def test_averages_and_accumulation_resume(run, tmp_path, network):
    options = {"optim_wrapper.accumulative_counts": 2, "by_epoch": True}
    hooks = [EMA, CHANNELS_LAST]
    _, losses = run(network, tmp_path / "straight", hooks, epochs=2, **options)
    run(network, tmp_path / "resumed", hooks, epochs=1, **options)
    _, found = run(network, tmp_path / "resumed", hooks, epochs=2, resume=True, **options)
    straight, resumed = (
        read_checkpoint(tmp_path / name / "epoch_2.pth") for name in ("straight", "resumed")
    )
    if network == "detector":
        # Its samplers draw boxes, and a resumed run draws others.
        assert found[:2] == losses[:2]
        assert found == pytest.approx(losses, rel=0.05)
        assert resumed["ema_state_dict"]["steps"] == straight["ema_state_dict"]["steps"] == 4
        return
    assert found == losses
    for key in ("state_dict", "ema_state_dict"):
        assert largest_difference(resumed[key], straight[key]) == 0


def test_learning_rate_is_not_scaled_to_a_part_of_the_batch(configs, tmp_path):
    """mmengine counts processes and samples, but not the batches that are accumulated."""
    options = {"optim_wrapper.accumulative_counts": 4, "auto_scale_lr.base_batch_size": 8}
    cfg = load_config(str(configs["classifier"]), options, str(tmp_path))
    with pytest.raises(UserError, match="--auto-scale-lr .* optim_wrapper.accumulative_counts=4"):
        train(cfg, auto_scale_lr=True)


def test_processes_of_one_run_agree_on_the_dtype(configs, tmp_path, monkeypatch):
    """GPUs of two generations answer differently; their gradients would be averaged."""
    monkeypatch.setattr(runner, "all_gather_object", lambda dtype: [dtype, "float16"])
    cfg = load_config(str(configs["classifier"]), {}, str(tmp_path))
    try:
        with pytest.raises(
            UserError, match="bfloat16 and float16 on different GPUs.*--amp float16"
        ):
            train(cfg, amp="bfloat16")
    finally:
        forget_runs()
