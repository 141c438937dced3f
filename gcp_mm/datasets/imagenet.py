"""ImageNet-1k with its fixed class table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmpretrain.datasets import ImageNet as MMPretrainImageNet

from gcp_mm.datasets.class_folder import ClassFolder
from gcp_mm.datasets.imagenet_classes import wnid_to_index
from gcp_mm.registry import DATASETS


@DATASETS.register_module()
class ImageNet(ClassFolder, MMPretrainImageNet):
    """ImageNet-1k (ILSVRC 2012) in class folders or as a flat folder with a list.

    Layouts: ``DATA_ROOT/{train,val}/<wnid>/<image>``, or images anywhere below
    ``DATA_ROOT/DATA_PREFIX`` and an ``ann_file`` with lines ``name index`` or ``name wnid``. As in
    mmpretrain, ``DATA_ROOT/meta/SPLIT.txt`` is such a list if it exists.

    Labels are the indices of :func:`gcp_mm.datasets.imagenet_classes.wnid_to_index`, whatever
    part of the classes is there.

    Args:
        *args: Passed on to mmpretrain's ``ImageNet``.
        allow_missing: Accept a part of the 1000 classes. Defaults to False.
        max_unreadable: See :class:`gcp_mm.datasets.skip_unreadable.SkipUnreadable`.
        split: ``'train'``, ``'val'`` or ``'test'`` (without labels).
        test_mode: Whether the data are for evaluation. Defaults to True for the splits ``'val'``
            and ``'test'``.
        **kwargs: Passed on to mmpretrain's ``ImageNet``.

    Raises:
        UserError: If the classes are not the 1000 of the table, or the list is of another form.
    """

    def __init__(
        self, *args: Any, split: str = "", test_mode: bool | None = None, **kwargs: Any
    ) -> None:
        if test_mode is None:
            test_mode = split in ("val", "test")
        super().__init__(*args, split=split, test_mode=test_mode, **kwargs)

    def _class_table(self) -> Mapping[str, int]:
        return wnid_to_index()
