"""A training that diverges stops, and leaves what is good."""

import pytest
import torch
from mmengine.hooks import Hook, RuntimeInfoHook
from tiny_runs import forget_runs, only_error, read_checkpoint

from engine.counting import best_files, counting_runner
from gcp_mm.engine.hooks import finite_check_hook
from gcp_mm.errors import UserError

DIVERGING = dict(type="SGD", lr=1e30, momentum=0.9)


@pytest.fixture(autouse=True)
def fresh():
    yield
    forget_runs()


def diverge(work_dir, epochs=20, **changes):
    runner = counting_runner(work_dir, epochs, **changes)
    with pytest.raises(UserError) as caught:
        runner.train()
    forget_runs()
    return str(caught.value)


def all_finite(path):
    return all(
        bool(tensor.isfinite().all()) for tensor in read_checkpoint(path)["state_dict"].values()
    )


def test_diverged_training_names_iteration_rate_and_the_last_good_checkpoint(tmp_path):
    message = diverge(tmp_path, 2, optim_wrapper=dict(optimizer=DIVERGING), hook=dict(interval=9))
    # The square of weights of 1e30 is no float32.
    assert message.startswith("the loss is inf at iteration 2, epoch 1, learning rate 1e+30: ")
    assert "no checkpoint has been written" in message and "optimizer.lr=" in message


class OwnLog(Hook):
    """Write scalars as RuntimeInfoHook does, and go on with a number of its own."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.message_hub.update_scalar("train/loss", 1.0)


@pytest.mark.parametrize("own_log", [False, True])
def test_loss_is_the_one_of_the_iteration_without_the_info_hook(tmp_path, own_log):
    hooks = [dict(type="gcp_mm.FiniteCheckHook"), *[OwnLog()] * own_log]
    settings = dict(custom_hooks=hooks, optim_wrapper=dict(optimizer=DIVERGING))
    runner = counting_runner(tmp_path, 2, **settings)
    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, RuntimeInfoHook)]
    # What an earlier run in the same process has left.
    runner.message_hub.update_scalar("train/loss", 0.5)
    with pytest.raises(UserError, match="the loss is inf at iteration 2"):
        runner.train()


class Schedule(Hook):
    """Raise the learning rate after the second epoch."""

    def before_train_epoch(self, runner):
        if runner.epoch == 2:
            for group in runner.optim_wrapper.param_groups:
                group["lr"] = 1e30


@pytest.mark.parametrize("resumed", [False, True])
def test_what_was_good_stays(tmp_path, resumed):
    hooks = [dict(type="gcp_mm.FiniteCheckHook"), Schedule()]
    settings = dict(custom_hooks=hooks, param_scheduler=None, hook=dict(max_keep_ckpts=1))
    if resumed:
        counting_runner(tmp_path, 2, **settings).train()
        forget_runs()
        source = str(tmp_path / "epoch_2.pth")
        message = diverge(tmp_path, 5, resume=True, load_from=source, **settings)
    else:
        message = diverge(tmp_path, 5, **settings)
    last = sorted(path.name for path in tmp_path.glob("epoch_*.pth"))
    assert len(last) == 1
    assert f"the last good checkpoint is {tmp_path / last[0]}." in message
    assert "learning rate 1e+30" in message
    assert all(all_finite(path) for path in tmp_path.glob("*.pth"))
    assert len(best_files(tmp_path)) == 1


class Overflow(Hook):
    """Make one gradient infinite where the wrapper looks for it, as half precision does."""

    steps = 0

    def before_run(self, runner):
        runner.model.linear.weight.register_hook(self.overflow)

    def overflow(self, gradient):
        self.steps += 1
        return torch.full_like(gradient, float("inf")) if self.steps == 2 else gradient


def test_step_that_the_scaler_skips_is_no_divergence(tmp_path):
    from mmengine.optim import OptimWrapper
    from mmengine.registry import OPTIM_WRAPPERS

    @OPTIM_WRAPPERS.register_module(force=True)
    class ScalingWrapper(OptimWrapper):
        """torch's scaler, which mmengine's AmpOptimWrapper has for GPUs alone."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scaler = torch.amp.GradScaler("cpu")

        def backward(self, loss, **kwargs):
            self.scaler.scale(loss).backward(**kwargs)

        def step(self, **kwargs):
            self.scaler.step(self.optimizer)
            self.scaler.update()

    hooks = [dict(type="gcp_mm.FiniteCheckHook"), Overflow()]
    wrapper = dict(type="ScalingWrapper", optimizer=dict(type="SGD", lr=0.01))
    counting_runner(tmp_path, 2, custom_hooks=hooks, optim_wrapper=wrapper).train()
    assert all_finite(tmp_path / "epoch_2.pth")
    forget_runs()
    # Without a scaler the same gradient ends the training at the next loss or file.
    hooks = [dict(type="gcp_mm.FiniteCheckHook"), Overflow()]
    assert "(linear.weight) after iteration 2" in diverge(tmp_path / "plain", custom_hooks=hooks)
    assert not list((tmp_path / "plain").glob("*.pth"))


def test_all_processes_say_the_same(monkeypatch, tmp_path):
    """Of three, the second has no finite loss."""
    nan = float("nan")
    found = [(1.0, []), (nan, ["loss_cls"]), (nan, [])]
    monkeypatch.setattr(finite_check_hook, "all_gather_object", lambda own: found)
    monkeypatch.setattr(finite_check_hook, "all_reduce", lambda flag, op: flag.fill_(1))
    runner = counting_runner(tmp_path)
    monkeypatch.setattr(type(runner), "world_size", 3)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    with pytest.raises(
        UserError, match=r"the loss is nan \(loss_cls\) at iteration 1, epoch 1, lea"
    ):
        finite_check_hook.FiniteCheckHook().after_train_iter(
            runner, 0, outputs={"loss": torch.ones(())}
        )


@pytest.fixture
def broken(trained, tmp_path):
    """Return a checkpoint with one weight and one statistic that are not finite."""
    checkpoint = read_checkpoint(trained[0] / "epoch_3.pth")
    checkpoint["state_dict"]["head.fc.weight"][0, 0] = float("nan")
    checkpoint["state_dict"]["backbone.bn1.running_var"][0] = float("inf")
    torch.save(checkpoint, tmp_path / "broken.pth")
    return tmp_path / "broken.pth"


@pytest.mark.parametrize("use", ["test", "resume", "surface"])
def test_weights_of_a_diverged_training_are_refused(call_tool, classifier, broken, tmp_path, use):
    command = {
        "test": ["tools/test.py", classifier, broken, "--work-dir", tmp_path],
        "resume": ["tools/train.py", classifier, "--resume", broken, "--work-dir", tmp_path],
        "surface": [
            *("tools/landscape.py", "curvature", classifier, broken, "--batch-size", 2),
            *("--out", tmp_path / "x.json"),
        ],
    }
    error = only_error(*call_tool(*command[use]))
    assert "broken.pth': 2 of " in error
    assert "not finite (head.fc.weight, backbone.bn1.running_var)" in error


def test_training_tool_ends_with_one_line(call_tool, classifier, tmp_path):
    error = only_error(
        *call_tool(
            *("tools/train.py", classifier, "--work-dir", tmp_path),
            *("--cfg-options", "optim_wrapper.optimizer.lr=1e10", "train_cfg.max_epochs=2"),
        )
    )
    assert "learning rate 1e+10: the training has diverged and stops" in error
    assert all(all_finite(path) for path in tmp_path.glob("*.pth"))
