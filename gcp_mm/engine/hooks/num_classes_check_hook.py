"""Refuse a classifier with another number of classes than its data."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from gcp_mm.errors import UserError
from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class NumClassesCheckHook(Hook):
    """Compare ``model.head.num_classes`` with the classes of the data before the first batch.

    With too few, the loss fails on a label out of range; with too many, nothing fails and the
    scores are spread over classes that do not exist. mmpretrain's ``ClassNumCheckHook`` ends in an
    AssertionError, and needs mmpretrain, which this package does not.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data."""
        self._check(runner, "train")

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self._check(runner, "test")

    def _check(self, runner: Runner, mode: str) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        expected = getattr(getattr(model, "head", None), "num_classes", None)
        dataset = getattr(runner, f"{mode}_dataloader").dataset
        classes = getattr(dataset, "metainfo", {}).get("classes")
        if expected is None or classes is None or len(classes) == expected:
            return
        shown = ", ".join(map(str, classes[:3])) + (", ..." if len(classes) > 3 else "")
        raise UserError(
            f"the head of this config has {expected} classes (model.head.num_classes), but the "
            f"{mode} data have {len(classes)} ({shown}; {mode}_dataloader.dataset.data_root="
            f"{getattr(dataset, 'data_root', None)!r}). Set model.head.num_classes={len(classes)} "
            "with --cfg-options, or name other data"
        )
