"""Handwritten digits as an image-classification folder tree."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from demo.folders import build_folder

_VERSION = 1
_SOURCE_SIZE = 8
_SOURCE_MAX = 16.0


def write_digits(
    root: str | os.PathLike[str],
    image_size: int = 48,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> dict[str, int]:
    """Write the handwritten digits of scikit-learn as class folders of PNG images.

    The 1797 grey images of 8x8 pixels are enlarged by bicubic interpolation and written as RGB
    to `root/{train,val}/<0..9>/<index>.png`, where `<index>` is the four-digit row of the image in
    `sklearn.datasets.load_digits`. The split is stratified: of the `n` images of each class,
    `round(val_fraction * n)` drawn at random, but at least one and at most `n - 1`, form the
    validation set.

    Args:
        root: Folder to create; see `Raises` for an existing one.
        image_size: Height and width of the written images, in pixels; at least 8.
        val_fraction: Fraction of each class in the validation set, between 0 and 1, exclusive.
        seed: Non-negative seed of the split.

    Returns:
        Number of images by split, with the keys `train` and `val`.

    Raises:
        ValueError: If an argument is out of its range.
        FolderExistsError: If `root` exists but was not written by a call with equal arguments. If
            it was, nothing is rewritten and the recorded counts are returned.
    """
    if image_size < _SOURCE_SIZE:
        raise ValueError(f"image_size is {image_size}; give at least {_SOURCE_SIZE} pixels.")
    if not 0.0 < val_fraction < 1.0:
        raise ValueError(f"val_fraction is {val_fraction}; give a fraction between 0 and 1.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give a non-negative integer.")
    arguments = {"image_size": image_size, "val_fraction": val_fraction, "seed": seed}
    request = {"generator": "digits", "version": _VERSION, **arguments}
    return build_folder(root, request, lambda folder: _write(folder, **arguments))


def _write(folder: Path, image_size: int, val_fraction: float, seed: int) -> dict[str, int]:
    """Write all images below `folder` and return their number by split."""
    digits = load_digits()
    in_val = _validation_rows(digits.target, val_fraction, seed)
    for row, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / ("val" if in_val[row] else "train") / str(label) / f"{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, encoded = cv2.imencode(".png", _enlarge(pixels, image_size))
        path.write_bytes(encoded.tobytes())
    return {"train": int((~in_val).sum()), "val": int(in_val.sum())}


def _validation_rows(target: np.ndarray, val_fraction: float, seed: int) -> np.ndarray:
    """Draw the validation set, stratified by class, as a boolean array of shape `(N,)`."""
    rng = np.random.default_rng(seed)
    in_val = np.zeros(len(target), dtype=bool)
    for label in np.unique(target):
        rows = rng.permutation(np.flatnonzero(target == label))
        count = min(max(round(val_fraction * len(rows)), 1), len(rows) - 1)
        in_val[rows[:count]] = True
    return in_val


def _enlarge(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Enlarge a grey image with values up to 16 to an 8-bit RGB image."""
    grey = np.float32(pixels * (255.0 / _SOURCE_MAX))
    grey = cv2.resize(grey, (image_size, image_size), interpolation=cv2.INTER_CUBIC)
    # Bicubic interpolation overshoots at edges, which would wrap around in 8 bits.
    grey = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
