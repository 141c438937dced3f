"""Warn when the learning rate of a schedule meets another batch size than it was made for."""

from __future__ import annotations

import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class BatchSizeCheckHook(Hook):
    """Compare the global batch with ``auto_scale_lr.base_batch_size`` before training.

    The global batch is samples per process x processes x ``optim_wrapper.accumulative_counts``.
    """

    def before_train(self, runner: Runner) -> None:
        """Warn once if the batch differs and the learning rate is not scaled to it.

        Args:
            runner: The runner about to train.
        """
        settings = runner.cfg.get("auto_scale_lr") or {}
        base = settings.get("base_batch_size")
        if base is None or settings.get("enable", False):
            return
        per_process = runner.cfg.train_dataloader.get("batch_size")
        if per_process is None:
            return
        accumulated = runner.cfg.optim_wrapper.get("accumulative_counts", 1)
        batch = per_process * runner.world_size * accumulated
        if batch == base:
            return
        lr = runner.cfg.optim_wrapper.optimizer.lr
        # mmengine's scaling does not count the accumulation.
        cure = (
            f"set optim_wrapper.optimizer.lr={lr * batch / base:g}"
            if accumulated > 1
            else f"pass --auto-scale-lr to train with {lr * batch / base:g}"
        )
        print_log(
            f"the learning rate {lr:g} belongs to a batch of {base}, but this run has {batch} "
            f"({per_process} per process x {runner.world_size} processes"
            f"{f' x {accumulated} accumulated' if accumulated > 1 else ''}); {cure}, or change "
            "train_dataloader.batch_size",
            logger="current",
            level=logging.WARNING,
        )
