"""Images per second in the log lines of training, validation and test."""

from __future__ import annotations

from mmengine.runner import LogProcessor, Runner

from gcp_mm.registry import LOG_PROCESSORS


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
        """Return the scalars and the line of an iteration.

        Args:
            runner: The runner.
            batch_idx: Index of the batch in its loop.
            mode: ``'train'``, ``'val'`` or ``'test'``.
        """
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        loader = getattr(runner, f"{mode}_dataloader")
        # Not loader.batch_size, which is None if the config has a batch sampler.
        images = loader.batch_sampler.batch_size * runner.world_size
        return self._add_throughput(tag, line, images, mode)

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict, str]:
        """Return the metrics and the line of an epoch of validation or test.

        Args:
            runner: The runner.
            batch_idx: Index of the last batch.
            mode: ``'val'`` or ``'test'``.
            with_non_scalar: Whether the returned metrics have those that are no numbers.
        """
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
