"""Refuse a checkpoint that belongs to another network."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from gcp_mm.engine.coverage import ADAPTED, compare, weights_of
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
        """Compare the checkpoint with the runner's model.

        Args:
            runner: The runner that loads.
            checkpoint: What the file holds.

        Raises:
            CheckpointMismatchError: If too little of the network is covered.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        coverage = compare(model.state_dict(), weights_of(checkpoint), ADAPTED)
        source = runner._load_from or "the latest checkpoint"
        # Until training begins, the training loop is its config, which evaluation has too.
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if not coverage.loaded or (not fine_tuning and not coverage.complete):
            raise CheckpointMismatchError(
                f"{source} does not fit the {type(model).__name__} of this config: {coverage}; "
                f"{coverage.details()}. Use the checkpoint that was trained with this config, or "
                "the config that the checkpoint was trained with"
            )
        print_log(f"{coverage} from {source}", logger="current")
        if not coverage.complete:
            print_log(f"left at their initial values: {coverage.details()}", logger="current")
