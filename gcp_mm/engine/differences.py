"""In which settings two measurements differ, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Name the settings in which two measurements differ.

    Args:
        found: Settings of an existing measurement.
        wanted: Settings of the one that is asked for.

    Returns:
        A phrase for each differing key, with both values.
    """
    return [
        f"{key} is {found.get(key)!r} there and {wanted.get(key)!r} here"
        for key in sorted(found.keys() | wanted.keys())
        if found.get(key) != wanted.get(key)
    ]
