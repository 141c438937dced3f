"""Log often enough in short epochs and evaluations."""

from __future__ import annotations

from mmengine.hooks import Hook, LoggerHook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner

from gcp_mm.registry import HOOKS

_LINES = 5  # of an epoch or evaluation, at least


@HOOKS.register_module()
class LogIntervalHook(Hook):
    """Shorten the interval of ``LoggerHook`` where an epoch has less than two of it.

    The intervals of mmpretrain and mmdet, 100 and 50, belong to epochs of thousands of iterations:
    on a few hundred images of one's own nothing is printed until the epoch ends.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the interval for this run.

        Args:
            runner: The runner about to train.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        _shorten(runner, len(runner.train_dataloader), "an epoch")

    def before_test(self, runner: Runner) -> None:
        """Set the interval for an evaluation.

        Args:
            runner: The runner about to test.
        """
        _shorten(runner, len(runner.test_dataloader), "the evaluation")


def _shorten(runner: Runner, length: int, what: str) -> None:
    """Set the interval by the length alone: what is logged is gathered from every process."""
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook) and hook.interval > max(1, length // 2):
            before, hook.interval = hook.interval, max(1, length // _LINES)
            print_log(
                f"{what} has {length} iterations: logged is every {hook.interval}., not every "
                f"{before}.",
                logger="current",
            )
