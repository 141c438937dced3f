"""Refuse to fine-tune from random weights, or from half a backbone."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from gcp_mm.command_names import command_line
from gcp_mm.engine.coverage import ADAPTED, compare, weights_of
from gcp_mm.engine.preflight import check_start
from gcp_mm.errors import CheckpointMismatchError
from gcp_mm.registry import HOOKS

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
        """Check that the run has weights to start from.

        Args:
            runner: The runner about to train, evaluate or test.

        Raises:
            UserError: If a training has none.
        """
        # Until training begins, the training loop is its config, which evaluation has too.
        # Without its config a runner trains another network, as mmpretrain's vis_scheduler does.
        if isinstance(runner._train_loop, BaseLoop) and runner.cfg.get("model"):
            check_start(runner.cfg, required=True)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the backbone with the file before it is loaded.

        Args:
            runner: The runner that loads.
            checkpoint: What the file holds.

        Raises:
            CheckpointMismatchError: If the file lacks a tensor of the backbone, or has another
                shape or a further one.
        """
        if not isinstance(runner._train_loop, BaseLoop) or runner._resume:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
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
