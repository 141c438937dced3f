"""Hooks and a log processor for speed: the layout of images, and images per second in the log."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import EpochBasedTrainLoop, LogProcessor, Runner

from gcp_mm.first_process import log
from gcp_mm.registry import HOOKS, LOG_PROCESSORS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Convert the network to ``torch.channels_last`` before training or evaluation.

    A convolution whose weight has that layout takes any input and answers in it, so that the
    features follow from the first layer on. Shapes, checkpoints and results stay the same, up to
    the rounding of other kernels. Parameters stay the same objects, so the optimizer keeps them.
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the weights.

        Not earlier: random initial weights are drawn in the order of the memory, and would be
        others than without this hook.
        """
        runner.model.to(memory_format=torch.channels_last)

    before_val = before_test = before_train


_LINES = 5  # of an epoch or evaluation, at least


@HOOKS.register_module()
class LogIntervalHook(Hook):
    """Shorten the interval of ``LoggerHook`` where an epoch has less than two of it.

    The intervals of mmpretrain and mmdet, 100 and 50, belong to epochs of thousands of iterations:
    on a few hundred images of one's own nothing is printed until the epoch ends.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the interval for this run."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        _shorten(runner, len(runner.train_dataloader), "an epoch")

    def before_test(self, runner: Runner) -> None:
        """Set the interval for an evaluation."""
        _shorten(runner, len(runner.test_dataloader), "the evaluation")


def _shorten(runner: Runner, length: int, what: str) -> None:
    """Set the interval by the length alone: what is logged is gathered from every process."""
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook) and hook.interval > max(1, length // 2):
            before, hook.interval = hook.interval, max(1, length // _LINES)
            log(
                f"{what} has {length} iterations: logged is every {hook.interval}., not every "
                f"{before}."
            )


@LOG_PROCESSORS.register_module()
class ThroughputLogProcessor(LogProcessor):
    """mmengine's log lines, which have the time and the ETA, with the throughput at their end.

    ``images/s`` is that of all processes together: (images of a full batch of one process x
    processes) / time of an iteration, the time being the mean that the same line shows. For a
    whole epoch of validation or test it is images / time. The scalars have it as
    ``images_per_second``.

    Needs mmengine's ``IterTimerHook``; without it the lines are mmengine's.
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """Return the scalars and the line of an iteration."""
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        loader = getattr(runner, f"{mode}_dataloader")
        # Not loader.batch_size, which is None if the config has a batch sampler.
        images = loader.batch_sampler.batch_size * runner.world_size
        return self._add_throughput(tag, line, images, mode)

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict, str]:
        """Return the metrics and the line of an epoch of validation or test."""
        tag, line = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        loader = getattr(runner, f"{mode}_dataloader")
        return self._add_throughput(tag, line, len(loader.dataset) / len(loader), mode)

    def _add_throughput(self, tag: dict, line: str, images: float, mode: str) -> tuple[dict, str]:
        prefix = f"{mode}/" if self.log_with_hierarchy else ""
        seconds = tag.get(f"{prefix}time")
        if seconds:
            tag[f"{prefix}images_per_second"] = images / seconds
            line = f"{line.rstrip()}  images/s: {images / seconds:.1f}"
        return tag, line
