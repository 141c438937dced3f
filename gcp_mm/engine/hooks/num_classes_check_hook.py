"""Refuse data whose classes are not those of the classifier."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class NumClassesCheckHook(Hook):
    """Compare ``num_classes`` of the heads with the classes of the data before the first batch.

    With too few, the loss fails on a label out of range; with too many, nothing fails and the
    scores are spread over classes that do not exist. Class folders are numbered as they are
    sorted, so a validation split without one of them would count others under wrong labels: the
    names have to be those of the training, which a checkpoint holds, when it is tested and when it
    is continued. mmpretrain's and mmdet's hooks compare numbers alone and end in an AssertionError.
    """

    _trained: Sequence[str] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the classes of the data that the checkpoint was trained on."""
        meta = checkpoint.get("meta") or {}
        self._trained = (meta.get("dataset_meta") or {}).get("classes")

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and the validation data against them."""
        classes = self._check(runner, "train")
        if getattr(runner, "_resume", False):
            self._compare(self._trained, classes, "train", "the checkpoint that is continued")
        if runner.val_loop is not None:
            self._compare(classes, self._check(runner, "val"), "val")

    def before_test(self, runner: Runner) -> None:
        """Check the test data, also against those of the checkpoint."""
        self._compare(self._trained, self._check(runner, "test"), "test")

    def _check(self, runner: Runner, mode: str) -> Sequence[str] | None:
        """Compare the number of classes of a data set with the head's, and return the classes."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dataset = getattr(runner, f"{mode}_dataloader").dataset
        # None in the stand-in that mmpretrain's vis_scheduler trains on.
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if classes is None:
            return None
        wrong = {key: n for key, n in _numbers(model) if n != len(classes)}
        if not wrong:
            return classes
        shown = ", ".join(map(str, classes[:3])) + (", ..." if len(classes) > 3 else "")
        key, expected = next(iter(wrong.items()))
        options = " ".join(f"{name}={len(classes)}" for name in wrong)
        raise UserError(
            f"the head of this config has {expected} classes ({key}), but the "
            f"{mode} data have {len(classes)} ({shown}; {mode}_dataloader.dataset.data_root="
            f"{getattr(dataset, 'data_root', None)!r}). Set {options} "
            "with --cfg-options, or name other data"
        )

    def _compare(
        self,
        trained: Sequence[str] | None,
        found: Sequence[str] | None,
        mode: str,
        source: str = "training",
    ) -> None:
        if trained is None or found is None or len(trained) != len(found):
            return
        differing = [i for i, name in enumerate(trained) if name != found[i]]
        if not differing:
            return
        index = differing[0]
        raise UserError(
            f"class {index} is {trained[index]!r} in {source}, but {found[index]!r} in the {mode} "
            f"data: their labels differ. Make the class folders equal, or give {mode}_dataloader."
            "dataset.classes (COCO-format data: dataset.metainfo.classes) in the order of the "
            "training"
        )


# Heads of detectors that tell classes apart; cascades have lists of them. A region proposal
# network tells objects from background.
_HEADS = re.compile(r"(^|\.)(bbox_head|mask_head)(\.\d+)?$")


def _numbers(model: object) -> Iterator[tuple[str, int]]:
    """Yield the number of classes of each head, with its key in the config."""
    heads = {"head": getattr(model, "head", None)}
    if isinstance(model, nn.Module):
        heads |= {name: part for name, part in model.named_modules() if _HEADS.search(name)}
    for name, head in heads.items():
        number = getattr(head, "num_classes", None)
        # One mask for all classes.
        if number is not None and not getattr(head, "class_agnostic", False):
            yield f"model.{name}.num_classes", number
