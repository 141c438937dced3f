"""Hooks on the weights that a run starts from: of this network, all of them, and there at all."""

from __future__ import annotations

import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import Runner
from torch import nn

from gcp_mm.checkpoints.coverage import ADAPTED, compare, weights_of
from gcp_mm.checkpoints.pretrained import cover
from gcp_mm.console.command_names import command_line
from gcp_mm.engine.preflight import check_start
from gcp_mm.engine.run_state import is_training, source_of, unwrapped
from gcp_mm.errors import CheckpointMismatchError
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
        print_log(f"{coverage} from {source}", logger="current")
        if not coverage.complete:
            print_log(f"left at their initial values: {coverage.details()}", logger="current")


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
                if init_cfg["type"] in ("Pretrained", PretrainedInit):
                    self._check(name or "model", module, init_cfg)

    def _check(self, name: str, module: nn.Module, init_cfg: dict) -> None:
        prefix = init_cfg.get("prefix")
        coverage = cover(
            module,
            init_cfg["checkpoint"],
            # As mmengine takes it.
            f"{prefix.rstrip('.')}." if prefix else None,
            strict=self.strict,
            any_shape=ADAPTED,
            switch=_SWITCH,
        )[1]
        details = coverage.details()
        print_log(
            f"{name} ({type(module).__name__}) from {init_cfg['checkpoint']}: {coverage}"
            f"{'; ' + details if details else ''}",
            logger="current",
            level=logging.INFO if coverage.complete else logging.WARNING,
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
        print_log(f"{coverage} of the backbone from {runner._load_from}", logger="current")
