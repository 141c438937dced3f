"""A seed of its own for each file, so that no other file and no other process changes it."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *parts: object) -> int:
    """Mix a seed with the name of what is made.

    Args:
        seed: The seed of the whole tree.
        *parts: The names, such as corruption, severity, class and file.

    Returns:
        A number from 0 to 2^32 - 1, the range of ``numpy.random.seed``.
    """
    text = "\0".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
