"""Hooks on what a run starts from: weights that are there and fit, and a training that goes on."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from gcp_mm.checkpoints.config_text import changes, read_config_text
from gcp_mm.checkpoints.coverage import ADAPTED, compare, weights_of
from gcp_mm.checkpoints.pretrained import PRETRAINED, cover
from gcp_mm.console.command_names import command_line
from gcp_mm.engine.preflight import check_start
from gcp_mm.engine.run_state import is_training, source_of, unwrapped
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.files import abbreviate
from gcp_mm.first_process import log, warn
from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointCoverageHook(Hook):
    """Check what ``load_from``, ``resume`` or a test loads, before it is loaded.

    mmengine logs names that do not fit and goes on, so a wrong file ends in a wrong number.
    Evaluation and resuming need every tensor. Fine-tuning with ``load_from`` may leave out some
    (a new head), but not all.
    """

    # Before hooks that change the checkpoint, such as the EMA hook, which swaps the weights.
    priority = "VERY_HIGH"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the runner's model."""
        model = unwrapped(runner.model)
        coverage = compare(model.state_dict(), weights_of(checkpoint), ADAPTED)
        source = source_of(runner)
        fine_tuning = is_training(runner) and not runner._resume
        if not coverage.loaded or (not fine_tuning and not coverage.complete):
            raise CheckpointMismatchError(
                f"{source} does not fit the {type(model).__name__} of this config: {coverage}; "
                f"{coverage.details()}. Use the checkpoint that was trained with this config, or "
                "the config that the checkpoint was trained with"
            )
        log(f"{coverage} from {source}")
        if not coverage.complete:
            log(f"left at their initial values: {coverage.details()}")


_SWITCH = "dict(type='gcp_mm.PretrainedCoverageHook', strict=False) in custom_hooks"


@HOOKS.register_module()
class PretrainedCoverageHook(Hook):
    """Hold every module to the rule of this package's backbones before it is initialised.

    mmengine's initialiser loads the tensors whose names fit, if only none, and trains on from
    random weights. The backbones of this package check for themselves, see
    :class:`gcp_mm.models.pretrained_backbone.PretrainedBackbone`; this hook reads the file of any
    other one before mmengine does.

    Args:
        strict: Whether every tensor of a module has to be in its file, and no further one of a
            backbone. If False, something has to fit, and the rest is warned of.
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def before_run(self, runner: Runner) -> None:
        """Compare the modules of the network with the files that they name."""
        if not is_training(runner):
            return
        model = unwrapped(runner.model)
        for name, module in model.named_modules():
            if not _loads_as_mmengine(module):
                continue
            given = getattr(module, "init_cfg", None)
            for init_cfg in [given] if isinstance(given, dict) else given or []:
                if init_cfg["type"] in PRETRAINED:
                    self._check(name or "model", module, init_cfg)

    def _check(self, name: str, module: nn.Module, init_cfg: dict) -> None:
        coverage = cover(
            module,
            init_cfg["checkpoint"],
            init_cfg.get("prefix"),
            strict=self.strict,
            any_shape=ADAPTED,
            switch=_SWITCH,
        )[1]
        details = coverage.details()
        say = log if coverage.complete else warn
        say(
            f"{name} ({type(module).__name__}) from {init_cfg['checkpoint']}: {coverage}"
            f"{'; ' + details if details else ''}"
        )


def _loads_as_mmengine(module: nn.Module) -> bool:
    """Say whether mmengine's initialiser does the loading.

    Some of mmdet's networks convert names first, and this package's check for themselves.
    """
    if not isinstance(module, BaseModule):
        return False
    owner = next(kind for kind in type(module).__mro__ if "init_weights" in vars(kind))
    return owner is BaseModule or owner.__module__.startswith("mmpretrain.")


_PREFIX = "backbone."


@HOOKS.register_module()
class PretrainedRequiredHook(Hook):
    """Let a training start only from a file that has the whole backbone, or from its own run.

    Every tensor of the backbone has to be in the file of ``load_from``, and the file may hold no
    further one of a backbone. A neck and a head that fit are loaded as well; those that do not,
    such as a head for other classes, begin at their initial values.
    ``tools/train.py`` refuses a start without weights before anything is built; under other
    launchers this hook does, before the first iteration.
    """

    # Before hooks that change the checkpoint, such as the EMA hook, which swaps the weights.
    priority = "VERY_HIGH"

    def before_run(self, runner: Runner) -> None:
        """Check that the run has weights to start from."""
        # Without its config a runner trains another network, as mmpretrain's vis_scheduler does.
        if is_training(runner) and runner.cfg.get("model"):
            check_start(runner.cfg, required=True)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the backbone with the file before it is loaded."""
        if not is_training(runner) or runner._resume:
            return
        model = unwrapped(runner.model)
        backbone, weights = (
            {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
            for tensors in (model.state_dict(), weights_of(checkpoint))
        )
        coverage = compare(backbone, weights, ADAPTED)
        if not coverage.complete or coverage.unused:
            raise CheckpointMismatchError(
                f"{runner._load_from} does not hold the {type(model.backbone).__name__} that this "
                f"config fine-tunes: {coverage} of the backbone; {coverage.details()}. Use weights "
                f"of this architecture ({command_line('convert')} SRC DST converts "
                "published ones), or change model.backbone to theirs"
            )
        log(f"{coverage} of the backbone from {runner._load_from}")


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
        if not isinstance(old, dict) or not new:
            return
        found = [text for key in _COMPARED for text in changes(old.get(key), new.get(key), key)]
        old_batch, new_batch = _batch_size(old), _batch_size(new)
        if old_batch != new_batch:
            found.append(f"train_dataloader.batch_size: {old_batch}, now {new_batch}")
        stored = [text for text in found if text.startswith(_STORED)]
        changed = [text for text in found if not text.startswith(_STORED)]
        if changed:
            warn(f"{source} was trained with other settings: {abbreviate(changed, 8)}")
        if stored:
            warn(
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
            warn(
                f"{runner.work_dir} has no checkpoint to continue from: the training starts from "
                "the beginning"
            )
            return
        epochs = isinstance(loop, EpochBasedTrainLoop)
        done, end = (loop.epoch, loop.max_epochs) if epochs else (loop.iter, loop.max_iters)
        if end and done >= end:
            key = "train_cfg.max_epochs" if epochs else "train_cfg.max_iters"
            warn(
                f"this run is finished: {'epoch' if epochs else 'iteration'} {done} of {key}={end}"
                f". To train longer, raise it (--cfg-options {key}={2 * done}); a schedule that "
                "is over stays at its last learning rate"
            )


def _batch_size(settings: dict[str, Any]) -> Any:
    loader = settings.get("train_dataloader")
    return loader.get("batch_size") if isinstance(loader, dict) else None
