"""What ImageNet-C and ImageNet-P have in common: cells that hold the same files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from mmpretrain.datasets.transforms import PackInputs
from torch.utils.data import Dataset

from gcp_mm.console.command_names import command_line
from gcp_mm.datasets.imagenet_classes import wnid_to_index
from gcp_mm.datasets.text_list import read_class_names
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.images.read_image import open_image
from gcp_mm.plain_data import digest
from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE
from gcp_mm.robustness.data.listing import CLIP_SUFFIXES, Listing, common_listing
from gcp_mm.robustness.data.manifest import find_manifest, is_sealed
from gcp_mm.robustness.data.video_clip import frame_size

# Files whose size is looked at.
_PROBED = 16

#: Files of each cell of the released data: the validation set of ImageNet.
RELEASED_FILES = 50_000

_PART = (
    "Unpack the data again, choose a config with these classes, or evaluate a part of the released "
    "data with --num-samples N (num_samples of the data set), whose result is not comparable"
)


class RobustnessTree(Dataset):
    """Files ``<cell>/<class>/<name>``, the same in every cell, with labels from a fixed table.

    A tree without ``manifest.json`` (in ``data_root``, or beside its cells one folder deeper) that
    has folders of ImageNet's classes has to be complete: 1000 classes, 50,000 files in each cell.

    Args:
        data_root: Folder of the tree.
        cells: Folder of each cell.
        suffixes: Endings of the files, lower case.
        classes: Class folders in the order of their labels, or a file with one a line. None: those
            of the manifest, else the 1000 of ImageNet if all folders are among them, else the
            sorted folders.
        num_samples: Use this many files of each cell, at an even stride, also of a part of the
            released data. None for all.
        input_size: See :func:`gcp_mm.robustness.data.fixed_size.fit`.
        listing: The files, if they have been listed already.

    Raises:
        UserError: If a cell is short, or the class folders are not those of the table.

    Attributes:
        cells: Keys of the cells.
        complete: The files of each cell.
        listing: Those of them that are used.
        manifest: How the tree was made; None for released data.
        sealed: Whether its files were written with a digest each, which is checked.
        class_to_index: The class table.
    """

    def __init__(
        self,
        data_root: str | Path,
        cells: Mapping[str, Path],
        suffixes: Iterable[str],
        classes: str | Sequence[str] | None = None,
        num_samples: int | None = None,
        input_size: int | None = None,
        listing: Listing | None = None,
    ) -> None:
        self.root = Path(data_root).expanduser()
        self.manifest = find_manifest(self.root, cells)
        self.sealed = self.manifest is not None and is_sealed(self.manifest)
        self._folders = dict(cells)
        self.cells = tuple(cells)
        self.complete = complete = listing or common_listing(self._folders, suffixes)
        self.class_to_index = self._table(complete, classes)
        self._check(partial=num_samples is not None or self.manifest is not None)
        self.listing = complete.sample(num_samples) if num_samples is not None else complete
        self.labels = np.array(
            [self.class_to_index[file.partition("/")[0]] for file in self.listing.files]
        )
        self.num_samples, self.input_size = num_samples, input_size
        self._pack = PackInputs()

    def _table(self, listing: Listing, classes: str | Sequence[str] | None) -> Mapping[str, int]:
        if classes is None:
            classes = (self.manifest or {}).get("classes")
        if isinstance(classes, str):
            classes = read_class_names(classes)
        if classes is None:
            if set(listing.classes) <= wnid_to_index().keys():
                return wnid_to_index()
            classes = listing.classes
        return {name: index for index, name in enumerate(classes)}

    def _check(self, partial: bool) -> None:
        """Compare classes and number of files with the table and with what is stated of them."""
        found, table = set(self.complete.classes), self.class_to_index
        wrong = {
            f"of {len(table)} missing": [] if partial else sorted(table.keys() - found),
            "not in the class table": sorted(found - table.keys()),
        }
        differences = [f"{len(n)} {what}: {abbreviate(n)}" for what, n in wrong.items() if n]
        if differences:
            raise UserError(
                f"{str(self.root)!r}: expected {len(table)} class folders in each cell, found "
                f"{len(found)}; {'; '.join(differences)}. {_PART}"
            )

        number, source = len(self.complete.files), str(self.root)
        if self.manifest is not None and number != self.manifest["images_per_cell"]:
            raise UserError(
                f"{source!r}: cells have {number} files, and its manifest states "
                f"{self.manifest['images_per_cell']}; finish {command_line('corrupt')}"
            )
        if not partial and table == wnid_to_index() and number != RELEASED_FILES:
            raise UserError(
                f"{source!r}: cells such as {str(self._folders[self.cells[0]])!r} have {number} "
                f"files, and the released ones {RELEASED_FILES}. {_PART}"
            )

    @property
    def num_items(self) -> int:
        """Number of files used of each cell."""
        return len(self.listing.files)

    @property
    def metainfo(self) -> dict:
        """What a metric has to know: classes, which data these are, cells in their order."""
        return {
            "classes": tuple(self.class_to_index),
            "cells": self.cells,
            "files_per_cell": self.num_items,
            # Result files say it in their transform.
            "settings": {**self.settings, "resized": self.resizes},
        }

    @cached_property
    def settings(self) -> dict:
        """Which data these are, as in the settings of a result file."""
        table = self.class_to_index
        return {
            "listing_sha256": self.listing.sha256,
            "manifest_sha256": digest(self.manifest["settings"]) if self.manifest else None,
            "regenerated": self.manifest is not None,
            "classes_sha256": digest(sorted(table, key=lambda name: table[name])),
            "num_classes": len(table),
            "files_per_cell": len(self.complete.files),
            "num_samples": self.num_samples,
            "input_size": self.input_size or RELEASED_SIZE,
        }

    @property
    def resizes(self) -> bool:
        """Whether ``input_size`` changes images, as far as the manifest or some of them tell."""
        if self.input_size is None:
            return False
        if self.manifest is not None:
            size = self.manifest["settings"].get("size") or {}
            return size.get("crop") != self.input_size
        some = range(0, self.num_items, max(1, self.num_items // _PROBED))
        paths = map(self.path, cycle(self.cells), some)
        return any(_side(path) not in (None, self.input_size) for path in paths)

    def path(self, cell: str, index: int) -> Path:
        """Return the path of a file, by its position in the listing."""
        return self._folders[cell] / self.listing.files[index]

    @abstractmethod
    def read(self, cell: str, index: int) -> np.ndarray:
        """Read a file by its position in the listing: (H, W, 3) uint8, blue first; a clip with T.

        One that cannot be read, is not what was written, or has another size is refused.
        """

    def _sample(self, index: int, cell: str, file: int, image: np.ndarray, **more: Any) -> dict:
        """Pack an image as mmpretrain's classifiers take it."""
        path = str(self.path(cell, file))
        known = {"sample_idx": index, "img_path": path, "img_shape": image.shape[:2]}
        return self._pack({"img": image, **known, **more})


def _side(path: Path) -> int | None:
    """Return the side of a square image or clip, 0 if it is not square; None tells nothing."""
    try:
        if path.name.lower().endswith(CLIP_SUFFIXES):
            width, height = frame_size(path)
        else:
            with open_image(path) as image:
                width, height = image.size
    except (OSError, ValueError):
        # Told about when it is read.
        return None
    return width if width == height else 0
