"""Checkpoints of which a kill at any moment loses none."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, find_latest_checkpoint

from gcp_mm.engine.hooks.finite_check_hook import check_weights
from gcp_mm.engine.run_state import is_training
from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.first_process import log
from gcp_mm.registry import HOOKS

# Entries of the message hub, which every checkpoint holds.
_VALIDATED = "last_validated"
_REPLACED = "replaced_best_ckpts"


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's hook, with the same settings and files, and these differences.

    * A new file is written before an old one is removed, of the best and of the latest ones alike.
    * A checkpoint is written again after its validation, with the best score, the schedule and the
      note that it was validated. A run that continues from one without the note, because it was
      killed before or during that validation, validates first: its best checkpoint is the one of
      a run without interruption.
    * Only ``best_*`` and numbered checkpoints directly inside this run's own folder are ever
      removed. A path in the file that a run continues from is never followed: the best checkpoint
      is looked for by its name in this folder, and one elsewhere stays; its score still counts.
    * Weights that are not finite are never written, so that the latest ones are always good.
    * Numbered checkpoints of chosen steps are kept beside the latest ones.

    Args:
        *args: Of mmengine's hook.
        keep: Epochs, or iterations with ``by_epoch=False``, whose checkpoints are never removed.
        **kwargs: Of mmengine's hook.
    """

    def __init__(self, *args: Any, keep: Sequence[int] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keep = frozenset(keep)

    def before_train(self, runner: Runner) -> None:
        """Take over what is this run's own, and make up for a validation that was cut."""
        recorded = _take_paths(runner.message_hub)
        super().before_train(runner)
        self._saved: tuple[int, Any] | None = None
        if name := _own_source(runner, self.out_dir):
            self.last_ckpt = self._path(name)
        self._adopt_best(runner, recorded)
        self._adopt_numbered(recorded)
        for name in self._own_names(recorded.get(_REPLACED)):
            self._remove(name)
        if self._needs_validation(runner):
            log(
                f"{self._describe_step(runner)} was saved, but its validation was cut or is not "
                "recorded: validating it now"
            )
            runner.val_loop.run()
            self._save_validated(runner)

    def _needs_validation(self, runner: Runner) -> bool:
        """Say whether the loop would have validated the step that a run continues from."""
        loop, step = runner.train_loop, _loop_step(runner)
        # A numbered iteration can lie in the middle of an epoch.
        if not step or runner.val_loop is None or _counts_epochs(runner) != self.by_epoch:
            return False
        if runner.message_hub.runtime_info.get(_VALIDATED) == step:
            return False
        loop._decide_current_val_interval()
        last = loop.max_epochs if self.by_epoch else loop.max_iters
        return step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)

    def _adopt_best(self, runner: Runner, recorded: dict[str, Any]) -> None:
        """Look for the best checkpoints of a resumed run by their names in this folder."""
        if self.save_best is None:
            return
        for key in self.key_indicators:
            given = recorded.get(self._entry("best_ckpt", key))
            own = [self._path(name) for name in self._own_names([given])]
            self._set_best(runner, key, own[0] if own else None)
            if isinstance(given, str) and not own:
                score = runner.message_hub.runtime_info.get(self._entry("best_score", key))
                log(
                    f"the best checkpoint so far ({score}) is not in {self.out_dir}, and is left "
                    f"where it is: {given}"
                )

    def _adopt_numbered(self, recorded: dict[str, Any]) -> None:
        """Take over the numbered checkpoints of a resumed run that are in this folder."""
        if self.max_keep_ckpts <= 0:
            return
        given = recorded.get("keep_ckpt_ids") if self.last_ckpt else None
        steps = [step for step in given if type(step) is int] if isinstance(given, list) else []
        self.keep_ckpt_ids = deque(step for step in steps if self._is_file(self._numbered(step)))
        self._remove_outdated()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write the checkpoint, then the pointer to it, then remove what is outdated."""
        check_weights(runner)
        if self.max_keep_ckpts > 0:
            if step not in self.keep_ckpt_ids:
                self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        name = self._numbered(step)
        path = self._path(name)
        runner.message_hub.update_info("last_ckpt", path)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self.last_ckpt = path
        self._saved = (step, runner.message_hub.runtime_info.get(_VALIDATED))
        if is_main_process():
            atomic_write(f"{runner.work_dir}/last_checkpoint", path)
        self._remove_outdated()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the checkpoint if it is the best, and that it was validated."""
        if not is_training(runner):
            return
        runner.message_hub.update_info(_VALIDATED, _loop_step(runner))
        super().after_val_epoch(runner, metrics or {})
        if self._saved is not None and self._saved[0] == self._step(runner):
            self._save_validated(runner)

    def _save_validated(self, runner: Runner) -> None:
        """Write the numbered checkpoint, unless it was written after the validation."""
        step = self._step(runner)
        if self._saved != (step, runner.message_hub.runtime_info.get(_VALIDATED)):
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Write the best checkpoints, then the numbered one that knows them, then remove the old.

        After a kill in between, the numbered checkpoint leads back to either state.
        """
        if not self.save_best:
            return
        if self.key_indicators == ["auto"]:
            self._init_rule(self.rules, [next(iter(metrics))])
        old = []
        for key, rule in zip(self.key_indicators, self.rules, strict=True):
            if key not in metrics:
                raise UserError(
                    f"default_hooks.checkpoint.save_best={key!r} is none of the metrics "
                    f"({', '.join(metrics)}); set it to one of them, or to 'auto'"
                )
            score, entry = metrics[key], self._entry("best_score", key)
            best = runner.message_hub.runtime_info.get(entry, self.init_value_map[rule])
            if score is None or not self.is_better_than[key](score, best):
                continue
            runner.message_hub.update_info(entry, score)
            before = runner.message_hub.runtime_info.get(self._entry("best_ckpt", key))
            name = f"best_{key}_{self._numbered(self._step(runner))}".replace("/", "_")
            path = self._path(name)
            self._set_best(runner, key, path)
            check_weights(runner)
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=False,
                save_param_scheduler=False,
                meta=dict(epoch=runner.epoch, iter=runner.iter),
                by_epoch=False,
                backend_args=self.backend_args,
            )
            log(
                f"The best checkpoint with {score:0.4f} {key} at {self._describe_step(runner)} is "
                f"saved to {name}."
            )
            if before and before != path:
                old.append(PurePath(before).name)
        if not old and self.last_ckpt is None:
            return
        runner.message_hub.update_info(_REPLACED, old)
        if self.last_ckpt is not None:
            self._save_validated(runner)
        for name in self._own_names(old):
            self._remove(name)

    def after_train(self, runner: Runner) -> None:
        """Publish the checkpoints, as mmengine does, of which there may be none."""
        if paths := getattr(self, "best_ckpt_path_dict", None):
            self.best_ckpt_path_dict = {key: path for key, path in paths.items() if path}
        super().after_train(runner)

    def _step(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    def _describe_step(self, runner: Runner) -> str:
        return f"{'epoch' if self.by_epoch else 'iteration'} {self._step(runner)}"

    def _numbered(self, step: int) -> str:
        return self.filename_tmpl.format(step)

    def _path(self, name: str) -> str:
        return self.file_backend.join_path(self.out_dir, name)

    def _entry(self, kind: str, key: str) -> str:
        """Return mmengine's name of an entry of the message hub."""
        return f"{kind}_{key}" if len(self.key_indicators) > 1 else kind

    def _set_best(self, runner: Runner, key: str, path: str | None) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[key] = path
        if path is not None:
            runner.message_hub.update_info(self._entry("best_ckpt", key), path)

    def _own_names(self, recorded: Any) -> list[str]:
        """Return the names of the best checkpoints of this folder among recorded paths."""
        if not isinstance(recorded, (list, tuple)):
            return []
        number = r"\d+".join(map(re.escape, self.filename_tmpl.split("{}")))
        best = re.compile(f"best_.+_{number}")
        names = [PurePath(path).name for path in recorded if isinstance(path, str)]
        return [name for name in names if best.fullmatch(name) and self._is_file(name)]

    def _is_file(self, name: str) -> bool:
        """Say whether a checkpoint is in this folder; those of DeepSpeed are folders."""
        return self.file_backend.exists(self._path(name))

    def _remove_outdated(self) -> None:
        """Remove the oldest numbered checkpoints, of which there are too many."""
        while len(getattr(self, "keep_ckpt_ids", ())) > self.max_keep_ckpts > 0:
            step = self.keep_ckpt_ids.popleft()
            if step not in self._keep:
                self._remove(self._numbered(step))

    def _remove(self, name: str) -> None:
        """Remove a checkpoint of this folder."""
        if not is_main_process():
            return
        path = self._path(name)
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)
        else:
            return
        if name.startswith("best_"):
            log(f"The previous best checkpoint {path} is removed")


def _take_paths(message_hub: MessageHub) -> dict[str, Any]:
    """Take out what a checkpoint says of files, and drop scores that are no numbers."""
    taken = {}
    for name, value in list(message_hub.runtime_info.items()):
        if name.startswith("best_score"):
            if (score := _as_number(value)) is None:
                message_hub.pop_info(name)
                log(f"{name} of the checkpoint is no number: {value!r}")
            else:
                message_hub.update_info(name, score)
        elif name.startswith(("best_ckpt", "keep_ckpt_ids", "last_ckpt", _REPLACED)):
            taken[name] = value
            # Not popped: mmengine would warn of it when the next checkpoint is loaded.
            message_hub.update_info(name, [] if name in ("keep_ckpt_ids", _REPLACED) else None)
    return taken


def _as_number(value: Any) -> float | None:
    """Return a score as a number; a metric may give one of NumPy or a tensor."""
    if isinstance(value, (bool, str)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return None if math.isnan(number) else number


def _own_source(runner: Runner, folder: str) -> str | None:
    """Return the name of the checkpoint that a run continues from, if it is in the folder."""
    if not runner._resume:
        return None
    source = runner._load_from or find_latest_checkpoint(runner.work_dir)
    if not source or "://" in source or Path(source).resolve().parent != Path(folder).resolve():
        return None
    return Path(source).name


def _counts_epochs(runner: Runner) -> bool | None:
    """Say whether a run validates after epochs or iterations; None for loops unknown here."""
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        return True
    return False if isinstance(runner.train_loop, IterBasedTrainLoop) else None


def _loop_step(runner: Runner) -> int:
    return runner.iter if _counts_epochs(runner) is False else runner.epoch
