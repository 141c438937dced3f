"""Say what a run that continues changes, and when there is nothing left to do."""

from __future__ import annotations

import logging
from itertools import zip_longest
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner

from gcp_mm.checkpoints.config_text import changes, read_config_text
from gcp_mm.engine.run_state import is_training, source_of
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.registry import HOOKS

# mmengine takes these from the checkpoint: the state of an optimizer holds its settings, and that
# of a schedule its milestones.
_STORED = ("optim_wrapper.optimizer", "param_scheduler")
_COMPARED = ("model", "optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr")


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Compare the config with that of the checkpoint that a run continues from.

    mmengine loads the state and says nothing: a new learning rate has no effect, because the
    optimizer's state holds the old one, and neither has a new schedule, for the same reason. The
    text of the config in the checkpoint comes here as data, see
    :func:`gcp_mm.checkpoints.without_code.without_code`.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Warn of settings that differ, and refuse other classes."""
        if not runner._resume or not is_training(runner):
            return
        meta = checkpoint.get("meta") or {}
        source = source_of(runner)
        self._compare_classes(runner, meta.get("dataset_meta"), source)
        old, new = meta.get("settings"), read_config_text(runner.cfg.pretty_text)
        if not old or not new:
            return
        found = [text for key in _COMPARED for text in changes(old.get(key), new.get(key), key)]
        old_batch, new_batch = _batch_size(old), _batch_size(new)
        if old_batch != new_batch:
            found.append(f"train_dataloader.batch_size: {old_batch}, now {new_batch}")
        stored = [text for text in found if text.startswith(_STORED)]
        changed = [text for text in found if not text.startswith(_STORED)]
        if changed:
            _warn(f"{source} was trained with other settings: {abbreviate(changed, 8)}")
        if stored:
            _warn(
                f"this run goes on with the optimizer and the schedule of {source}, and these "
                f"settings of the config have no effect: {abbreviate(stored, 8)}. For a new "
                "schedule start from the weights instead (--cfg-options load_from=CHECKPOINT, "
                "without --resume)"
            )

    def _compare_classes(self, runner: Runner, stored: Any, source: str) -> None:
        """Refuse other classes: what the head has learned would be counted for another."""
        old = stored.get("classes") if isinstance(stored, dict) else None
        dataset = runner.train_dataloader.dataset
        new = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if not old or not new or list(old) == list(new):
            return
        pairs = enumerate(zip_longest(old, new))
        index = next(index for index, (before, after) in pairs if before != after)
        before, after = (
            repr(classes[index]) if index < len(classes) else "none" for classes in (old, new)
        )
        raise UserError(
            f"{source} was trained on {len(old)} classes and the training data have {len(new)}: "
            f"class {index} is {before} there and {after} here. Continue with the data of that "
            "run, or start a new one from its weights (--cfg-options load_from=CHECKPOINT, "
            "without --resume)"
        )

    def before_train(self, runner: Runner) -> None:
        """Say that a run is finished, or that there was none to continue."""
        loop = runner.train_loop
        if not runner._resume:
            return
        if not runner._has_loaded:
            _warn(
                f"{runner.work_dir} has no checkpoint to continue from: the training starts from "
                "the beginning"
            )
            return
        epochs = isinstance(loop, EpochBasedTrainLoop)
        done, end = (loop.epoch, loop.max_epochs) if epochs else (loop.iter, loop.max_iters)
        if end and done >= end:
            key = "train_cfg.max_epochs" if epochs else "train_cfg.max_iters"
            _warn(
                f"this run is finished: {'epoch' if epochs else 'iteration'} {done} of {key}={end}"
                f". To train longer, raise it (--cfg-options {key}={2 * done}); a schedule that "
                "is over stays at its last learning rate"
            )


def _batch_size(settings: dict[str, Any]) -> Any:
    loader = settings.get("train_dataloader")
    return loader.get("batch_size") if isinstance(loader, dict) else None


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
