"""One's own images in one folder per class."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mmengine.fileio import get_file_backend, list_from_file
from mmengine.logging import print_log
from mmpretrain.datasets.custom import CustomDataset, find_folders, get_samples

from gcp_mm.datasets.class_table import check_classes, read_ground_truth
from gcp_mm.datasets.skip_unreadable import SkipUnreadable
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.registry import DATASETS


@DATASETS.register_module()
class ClassFolder(SkipUnreadable, CustomDataset):
    """``DATA_ROOT/DATA_PREFIX/<class>/<image>``, with labels that a missing folder cannot shift.

    A folder's label is its place in ``classes``. Without ``classes`` the sorted folders are the
    classes, so give them where the folders of training and validation may differ. Hidden folders
    are left out. With ``ann_file``, a list of lines ``name index`` or ``name class``, the images
    lie anywhere below ``DATA_ROOT/DATA_PREFIX``.

    Args:
        *args: Passed on to mmpretrain's ``CustomDataset``.
        allow_missing: Accept classes without a folder or without an image. Defaults to False.
        max_unreadable: See :class:`gcp_mm.datasets.skip_unreadable.SkipUnreadable`.
        classes: Names of the class folders in the order of their labels.
        test_mode: Set it for validation and test, so that no image is skipped. Defaults to False.
        **kwargs: Passed on to mmpretrain's ``CustomDataset``.

    Raises:
        UserError: If the folders are not those of the classes.
    """

    def __init__(self, *args: object, allow_missing: bool = False, **kwargs: object) -> None:
        self.allow_missing = allow_missing
        super().__init__(*args, **kwargs)

    def _class_table(self) -> Mapping[str, int] | None:
        return self.class_to_idx if self.CLASSES else None

    def load_data_list(self) -> list[dict]:
        """Return the path and the label of each image."""
        table = self._class_table()
        if not self.ann_file or not self.with_label or table is None:
            return super().load_data_list()
        samples = read_ground_truth(self.ann_file, list_from_file(self.ann_file), table)
        names = {index: name for name, index in table.items()}
        found = {names[label] for _, label in samples}
        check_classes(self.ann_file, found, table, self.allow_missing)
        join = get_file_backend(self.img_prefix, enable_singleton=True).join_path
        return [{"img_path": join(self.img_prefix, name), "gt_label": i} for name, i in samples]

    def _find_samples(self) -> list:
        if not self.with_label:
            return super()._find_samples()
        folders = [name for name in find_folders(self.img_prefix)[0] if not name.startswith(".")]
        table = self._class_table()
        if table is None:
            table = {name: index for index, name in enumerate(folders)}
            self._metainfo["classes"] = tuple(folders)
        check_classes(self.img_prefix, folders, table, self.allow_missing)
        self.folder_to_idx = {name: table[name] for name in folders}
        samples, empty = get_samples(self.img_prefix, self.folder_to_idx, self.is_valid_file)
        if empty:
            message = (
                f"{self.img_prefix!r}: {len(empty)} of {len(folders)} class folders hold no image "
                f"({', '.join(sorted(self.extensions))}): {abbreviate(sorted(empty))}"
            )
            if not self.allow_missing or not samples:
                raise UserError(
                    f"{message}. Fill them, or set allow_missing=True in the data set's config"
                )
            print_log(message, logger="current", level=logging.WARNING)
        return samples
