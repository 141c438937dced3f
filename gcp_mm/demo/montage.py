"""Several pictures in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from gcp_mm.errors import UserError


def write_montage(pictures: Sequence[Path], target: Path, columns: int = 2) -> Path:
    """Put pictures of one size side by side, row by row.

    Args:
        pictures: Image files of equal size; a last incomplete row is left out.
        target: The file to write.
        columns: Pictures in a row.

    Returns:
        ``target``.

    Raises:
        UserError: If there are fewer pictures than one row has.
    """
    if len(pictures) < columns:
        raise UserError(f"a row of {columns} pictures is needed, got {len(pictures)}")
    images = [cv2.imread(str(path)) for path in pictures]
    rows = [
        np.hstack(images[start : start + columns])
        for start in range(0, len(images) - columns + 1, columns)
    ]
    if not cv2.imwrite(str(target), np.vstack(rows)):
        raise UserError(f"could not write {target}; is its folder writable?")
    return target
