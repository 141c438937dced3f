"""Which cells of a tree are asked for, and what is made in them from one image.

Each file has a seed of its own, so that no other file and no other process changes it.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt.images import corrupt_image, crop
from gcp_mm.robustness.corrupt.sequences import SEQUENCES
from gcp_mm.robustness.corrupt.video import encode_mp4
from gcp_mm.robustness.names import (
    IS_NOISE,
    SEVERITIES,
    choose_corruptions,
    choose_perturbations,
    choose_severities,
)


def derive_seed(seed: int, *parts: object) -> int:
    """Mix a seed with the name of what is made."""
    # Names come from archives of any encoding.
    text = os.fsencode("\0".join(map(str, (seed, *parts))))
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


JPEG_QUALITY = 85


@dataclass(frozen=True)
class CorruptionCell:
    """``<corruption>/<severity>/<class>/<name>.JPEG``."""

    corruption: str
    severity: int
    suffix: ClassVar[str] = ".JPEG"

    @property
    def key(self) -> str:
        """Folder of the cell below the root."""
        return f"{self.corruption}/{self.severity}"

    def content(self, image: Image.Image, size: int | None, seed: int) -> bytes:
        """Crop and corrupt a resized image: a JPEG file of quality 85."""
        pixels = np.asarray(crop(image, size))
        corrupted = corrupt_image(pixels, self.corruption, self.severity, seed)
        content = io.BytesIO()
        Image.fromarray(corrupted).save(content, "JPEG", quality=JPEG_QUALITY)
        return content.getvalue()


@dataclass(frozen=True)
class SequenceCell:
    """``<perturbation>/<class>/<name>.mp4``."""

    perturbation: str
    suffix: ClassVar[str] = ".mp4"

    @property
    def key(self) -> str:
        """Folder of the cell below the root."""
        return self.perturbation

    def content(self, image: Image.Image, size: int | None, seed: int) -> bytes:
        """Perturb and crop a resized image: an mp4 file."""
        frames = SEQUENCES[self.perturbation](image, size, np.random.default_rng(seed))
        return encode_mp4(frames, noisy=IS_NOISE[self.perturbation])


#: All of a tree are of one of the two kinds.
Cells = Sequence[CorruptionCell] | Sequence[SequenceCell]


def choose_cells(
    dataset: str,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] | None = None,
    perturbations: Sequence[str] | None = None,
) -> Cells:
    """Turn names into cells, each once and in canonical order; None stands for all."""
    stills = dataset == "imagenet-c"
    foreign: dict[str, object] = {"corruptions": corruptions, "severities": severities}
    for option, value in ({"perturbations": perturbations} if stills else foreign).items():
        if value is not None:
            raise UserError(f"--{option} does not belong to --dataset {dataset}")
    if not stills:
        return [SequenceCell(name) for name in choose_perturbations(perturbations or "all")]
    chosen = choose_severities(SEVERITIES if severities is None else severities)
    return [
        CorruptionCell(name, severity)
        for name in choose_corruptions(corruptions or "all")
        for severity in chosen
    ]
