"""What is made from one image: its file in every cell of the tree."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class CorruptionCell:
    """``<corruption>/<severity>/<class>/<name>.JPEG``.

    Attributes:
        corruption: Its name.
        severity: From 1 to 5.
    """

    corruption: str
    severity: int

    @property
    def key(self) -> str:
        """Folder of the cell below the root."""
        return f"{self.corruption}/{self.severity}"

    def file(self, root: Path, source: SourceImage) -> Path:
        """Return where the corrupted image lies."""
        return root / self.key / f"{source.name}.JPEG"

    def content(
        self, image: Image.Image, source: SourceImage, size: int | None, seed: int
    ) -> bytes:
        """Corrupt an image.

        Args:
            image: The resized image.
            source: What it is.
            size: Side of the crop; None for the whole image.
            seed: Of the tree.

        Returns:
            A JPEG file of quality 85.
        """
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
class SequenceCell:
    """``<perturbation>/<class>/<name>.mp4``.

    Attributes:
        perturbation: Its name.
    """

    perturbation: str

    @property
    def key(self) -> str:
        """Folder of the cell below the root."""
        return self.perturbation

    def file(self, root: Path, source: SourceImage) -> Path:
        """Return where the sequence lies."""
        return root / self.key / f"{source.name}.mp4"

    def content(
        self, image: Image.Image, source: SourceImage, size: int | None, seed: int
    ) -> bytes:
        """Perturb an image.

        Args:
            image: The resized image.
            source: What it is.
            size: Side of the crop; None for the whole image.
            seed: Of the tree.

        Returns:
            An mp4 file.
        """
        rng = np.random.default_rng(derive_seed(seed, self.key, source.name))
        frames = SEQUENCES[self.perturbation](image, size, rng)
        return encode_mp4(frames, noisy=IS_NOISE[self.perturbation])


Cells = Sequence[CorruptionCell | SequenceCell]
