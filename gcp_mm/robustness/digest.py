"""Digest of plain data, by which settings are told apart."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """Return the SHA-256 of plain data.

    Args:
        value: Of mappings, sequences, texts and numbers; the order of keys does not matter.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
