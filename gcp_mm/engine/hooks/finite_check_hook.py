"""Stop a training whose loss or weights are no longer finite."""

from __future__ import annotations

import math

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from gcp_mm.checkpoints.coverage import weights_of
from gcp_mm.checkpoints.form import check_finite, find_not_finite, weight_names
from gcp_mm.engine.run_state import is_training, source_of, unwrapped
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class FiniteCheckHook(Hook):
    """Check the loss of every iteration, and the weights before validation and in every file.

    It is the loss that counts. In float16 the scaler skips a step whose gradients are infinite,
    which is how it finds its scale, and not even the first sign of a divergence.

    mmdet's ``CheckInvalidLossHook`` looks at every 50th loss, and ends in an AssertionError after
    the checkpoints in between.

    Several processes agree in every iteration. One that stopped alone would leave the others
    waiting in the next step, and they cannot be trusted to see for themselves: a loss that is not
    finite in one process reaches them by its gradients, but not where a scaler skips the step, nor
    where their own losses do not use the parameters that it has spoiled.
    """

    # Before the schedule goes on, and before hooks that change what was loaded, such as the EMA
    # hook. RuntimeInfoHook comes first and has waited for the device already, where it is there.
    priority = "HIGH"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse weights that are not finite, for whatever they are loaded."""
        check_finite(unwrapped(runner.model), weights_of(checkpoint), source_of(runner))

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop in every process at the iteration in which one of them has no finite loss."""
        if not outputs or "loss" not in outputs:
            return
        loss = _number(outputs["loss"])
        if runner.world_size == 1:
            stop = not math.isfinite(loss)
        else:
            flag = torch.tensor([float(not math.isfinite(loss))])
            all_reduce(flag, op="max")
            stop = bool(flag)
        if stop:
            raise UserError(self._describe(runner, loss, outputs))

    def _describe(self, runner: Runner, loss: float, outputs: dict) -> str:
        """Say the same in every process: of the first one whose loss is not finite."""
        parts = [
            name
            for name, value in outputs.items()
            if name != "loss" and "loss" in name and not math.isfinite(_number(value))
        ]
        found = all_gather_object((loss, parts))
        loss, parts = next(item for item in found if not math.isfinite(item[0]))
        named = f" ({abbreviate(parts)})" if parts else ""
        return (
            f"the loss is {loss}{named} at iteration {runner.iter + 1}, epoch {runner.epoch + 1}, "
            f"learning rate {_learning_rate(runner)}: {diverged(runner)}"
        )

    def before_val(self, runner: Runner) -> None:
        """Check the weights before a validation during training."""
        if is_training(runner):
            check_weights(runner)


def check_weights(runner: Runner) -> None:
    """Check the weights of a training, alike in every process."""
    network = unwrapped(runner.model)
    tensors = {**dict(network.named_buffers()), **dict(network.named_parameters())}
    bad = find_not_finite(tensors, weight_names(network))
    bad = next(filter(None, all_gather_object(bad)), [])
    if bad:
        raise UserError(
            f"{len(bad)} weights are not finite ({abbreviate(bad)}) after iteration {runner.iter}, "
            f"learning rate {_learning_rate(runner)}: {diverged(runner)}"
        )


def diverged(runner: Runner) -> str:
    """Say what is left of a training that cannot go on, and what to do."""
    saved = next(
        (hook.last_ckpt for hook in runner.hooks if isinstance(hook, CheckpointHook)), None
    )
    if saved is None and runner._resume:
        saved = runner._load_from
    left = (
        f"the last good checkpoint is {saved}. Train with a smaller learning rate "
        f"(--cfg-options optim_wrapper.optimizer.lr=...), from these weights with load_from={saved}"
        if saved
        else "no checkpoint has been written. Train with a smaller learning rate "
        "(--cfg-options optim_wrapper.optimizer.lr=...)"
    )
    return f"the training has diverged and stops; {left}"


def _learning_rate(runner: Runner) -> str:
    groups = runner.optim_wrapper.get_lr()
    rates = [rate for name, values in groups.items() if "base" not in name for rate in values]
    low, high = min(rates), max(rates)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _number(loss: torch.Tensor | float) -> float:
    return float(torch.as_tensor(loss).detach())
