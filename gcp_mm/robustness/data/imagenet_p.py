"""ImageNet-P, and trees like it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gcp_mm.registry import DATASETS
from gcp_mm.robustness.data.listing import CLIP_SUFFIXES, Listing, perturbation_cells
from gcp_mm.robustness.data.tree import RobustnessTree
from gcp_mm.robustness.data.video_clip import count_frames, read_clip
from gcp_mm.robustness.names import choose_perturbations


@DATASETS.register_module()
class ImageNetP(RobustnessTree):
    """Perturbation sequences, frame after frame (arXiv 1903.12261).

    Layout: ``DATA_ROOT/<perturbation>/<class>/<clip>.mp4``, or one folder deeper. A clip may have
    any number of frames from 2 on.

    A sample is a frame, packed as mmpretrain's classifiers take an image; evaluate with
    :class:`gcp_mm.robustness.metrics.FlipRate`. The clip that was decoded last is kept, so that
    frames should be asked for in order. For many clips ``tools/test_robustness.py`` is faster: it
    takes clips as a whole, with :meth:`read`.

    Args:
        data_root: Folder of the tree.
        perturbations: 'benchmark' (all ten) or names.
        difficulty: 1, 2 or 3: from 2 on, noises are in folders of their own (``shot_noise_2``).
        classes: See :class:`gcp_mm.robustness.data.tree.RobustnessTree`, as for the following.
        num_samples: Clips used of each perturbation.
        input_size: None refuses frames that are not 224 x 224.
        listing: The files, if they have been listed already.
        test_mode: Without effect, this is evaluation.

    Raises:
        UserError: If a folder is missing or short, classes are missing, or there is no such
            difficulty.
    """

    def __init__(
        self,
        data_root: str | Path,
        perturbations: str | Sequence[str] = "benchmark",
        difficulty: int = 1,
        classes: Sequence[str] | None = None,
        num_samples: int | None = None,
        input_size: int | None = None,
        listing: Listing | None = None,
        test_mode: bool = True,
    ) -> None:
        root = Path(data_root).expanduser()
        cells = perturbation_cells(root, choose_perturbations(perturbations), difficulty)
        super().__init__(root, cells, CLIP_SUFFIXES, classes, num_samples, input_size, listing)
        self.difficulty = difficulty
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, cell: str, index: int) -> np.ndarray:
        """Decode a clip of a perturbation's folder; see :class:`RobustnessTree`."""
        return read_clip(self.path(cell, index), self.input_size, self.sealed)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Index after the last frame of each clip of each cell, in one row."""
        paths = (self.path(cell, i) for cell in self.cells for i in range(self.num_items))
        return np.cumsum([count_frames(path) for path in paths])

    @property
    def metainfo(self) -> dict:
        """What a metric has to know; ``clip_ends`` are the indices after the last frames."""
        return {**super().metainfo, "clip_ends": self._ends, "difficulty": self.difficulty}

    def __len__(self) -> int:
        """Return the number of frames of all clips."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict:
        """Return a frame as mmpretrain's classifiers take an image."""
        clip = int(np.searchsorted(self._ends, index, side="right"))
        position, file = divmod(clip, self.num_items)
        cell = self.cells[position]
        if self._last is None or self._last[0] != clip:
            self._last = clip, self.read(cell, file)
        frame = self._last[1][index - int(self._ends[clip])]
        return self._sample(index, cell, file, frame)
