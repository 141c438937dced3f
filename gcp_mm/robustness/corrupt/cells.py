"""What is made from one image: its file in every cell of the tree."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from gcp_mm.evaluation.perturbations import IS_NOISE
from gcp_mm.robustness.corrupt.image_corruption import corrupt_image
from gcp_mm.robustness.corrupt.prepare import crop
from gcp_mm.robustness.corrupt.seeds import derive_seed
from gcp_mm.robustness.corrupt.sequences import SEQUENCES
from gcp_mm.robustness.corrupt.sources import SourceImage
from gcp_mm.robustness.corrupt.video import encode_mp4

JPEG_QUALITY = 85


class Cell(ABC):
    """A folder of the tree, with one file for each image.

    Attributes:
        suffix: Of its files.
    """

    suffix: ClassVar[str]

    @property
    @abstractmethod
    def key(self) -> str:
        """Folder of the cell below the root."""

    @abstractmethod
    def content(
        self, image: Image.Image, source: SourceImage, size: int | None, seed: int
    ) -> bytes:
        """Make the file of an image.

        Args:
            image: The resized image.
            source: What it is.
            size: Side of the crop; None for the whole image.
            seed: Of the tree.

        Returns:
            The content of the file.
        """

    def file(self, root: Path, source: SourceImage) -> Path:
        """Return where the file of an image lies."""
        return root / self.key / f"{source.name}{self.suffix}"


@dataclass(frozen=True)
class CorruptionCell(Cell):
    """``<corruption>/<severity>/<class>/<name>.JPEG``.

    Attributes:
        corruption: Its name.
        severity: From 1 to 5.
    """

    suffix = ".JPEG"
    corruption: str
    severity: int

    @property
    def key(self) -> str:
        """Folder of the cell below the root."""
        return f"{self.corruption}/{self.severity}"

    def content(
        self, image: Image.Image, source: SourceImage, size: int | None, seed: int
    ) -> bytes:
        """Corrupt an image; see :meth:`Cell.content`. A JPEG file of quality 85."""
        corrupted = corrupt_image(
            np.asarray(crop(image, size)),
            self.corruption,
            self.severity,
            derive_seed(seed, self.key, source.name),
        )
        content = io.BytesIO()
        Image.fromarray(corrupted).save(content, "JPEG", quality=JPEG_QUALITY)
        return content.getvalue()


@dataclass(frozen=True)
class SequenceCell(Cell):
    """``<perturbation>/<class>/<name>.mp4``.

    Attributes:
        perturbation: Its name.
    """

    suffix = ".mp4"
    perturbation: str

    @property
    def key(self) -> str:
        """Folder of the cell below the root."""
        return self.perturbation

    def content(
        self, image: Image.Image, source: SourceImage, size: int | None, seed: int
    ) -> bytes:
        """Perturb an image; see :meth:`Cell.content`. An mp4 file."""
        rng = np.random.default_rng(derive_seed(seed, self.key, source.name))
        frames = SEQUENCES[self.perturbation](image, size, rng)
        return encode_mp4(frames, noisy=IS_NOISE[self.perturbation])


Cells = Sequence[Cell]
