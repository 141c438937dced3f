"""SHA-256 of a file, for everything that records or checks which one it was.

Alone here, because addresses of the hub are checked without torch and OpenMMLab.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256(filename: str | Path) -> str:
    """Compute the sha256 of a file.

    Args:
        filename: Path of the file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with Path(filename).expanduser().open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
