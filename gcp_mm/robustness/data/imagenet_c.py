"""ImageNet-C, and trees like it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.images.names import IMAGE_EXTENSIONS
from gcp_mm.images.read_image import BACKENDS
from gcp_mm.registry import DATASETS
from gcp_mm.robustness.data.fixed_size import read_fixed
from gcp_mm.robustness.data.listing import Listing, corruption_cells
from gcp_mm.robustness.data.tree import RobustnessTree
from gcp_mm.robustness.names import SEVERITIES, choose_corruptions


@DATASETS.register_module()
class ImageNetC(RobustnessTree):
    """Corrupted images, cell after cell (arXiv 1903.12261).

    Layouts: ``DATA_ROOT/<corruption>/<severity>/<class>/<image>``, or with the folder of a group
    around, as the archives are unpacked: ``DATA_ROOT/noise/gaussian_noise/...``.

    There is no ``pipeline``: the images are final. Sample i is image ``i % files_per_cell`` of
    cell ``i // files_per_cell``, packed as mmpretrain's classifiers take it; evaluate with
    :class:`gcp_mm.robustness.metrics.CorruptionError`.

    Args:
        data_root: Folder of the tree.
        corruptions: 'benchmark' (15), 'all' (19), groups or names.
        severities: Some of 1 to 5.
        classes: See :class:`gcp_mm.robustness.data.tree.RobustnessTree`, as for the following.
        num_samples: Files used of each cell.
        input_size: None refuses images that are not 224 x 224.
        decoder: 'pillow' or 'cv2'.
        listing: The files, if they have been listed already.
        test_mode: Without effect, this is evaluation.

    Raises:
        UserError: If a folder is missing or short, or classes are missing.
    """

    def __init__(
        self,
        data_root: str | Path,
        corruptions: str | Sequence[str] = "benchmark",
        severities: Sequence[int] = SEVERITIES,
        classes: Sequence[str] | None = None,
        num_samples: int | None = None,
        input_size: int | None = None,
        decoder: str = "pillow",
        listing: Listing | None = None,
        test_mode: bool = True,
    ) -> None:
        if decoder not in BACKENDS:
            raise UserError(f"decoder {decoder!r}: one of {', '.join(BACKENDS)}")
        root = Path(data_root).expanduser()
        cells = corruption_cells(root, choose_corruptions(corruptions), severities)
        super().__init__(root, cells, IMAGE_EXTENSIONS, classes, num_samples, input_size, listing)
        self.decoder = decoder

    def read(self, cell: str, index: int) -> np.ndarray:
        """Read the image of a cell ``<corruption>/<severity>``; see :class:`RobustnessTree`."""
        return read_fixed(self.path(cell, index), self.input_size, self.decoder, self.sealed)

    def __len__(self) -> int:
        """Return the number of images of all cells."""
        return len(self.cells) * self.num_items

    def __getitem__(self, index: int) -> dict:
        """Return an image as mmpretrain's classifiers take it."""
        position, file = divmod(index, self.num_items)
        cell = self.cells[position]
        label = int(self.labels[file])
        return self._sample(index, cell, file, self.read(cell, file), gt_label=label)
