"""Check what ``init_cfg=dict(type='Pretrained', ...)`` loads, whatever the backbone is."""

from __future__ import annotations

import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import BaseLoop, Runner
from torch import nn

from gcp_mm.engine.coverage import ADAPTED
from gcp_mm.engine.pretrained import cover
from gcp_mm.registry import HOOKS

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
        """Compare the modules of the network with the files that they name.

        Args:
            runner: The runner about to train, evaluate or test.

        Raises:
            CheckpointNotFoundError: If a file does not exist.
            CheckpointMismatchError: If it belongs to another architecture.
        """
        # Until training begins, the training loop is its config, and nothing is initialised.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
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
