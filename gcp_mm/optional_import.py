"""Import what builds on mmpretrain or mmdet, each of which may be missing."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable

from mmengine.logging import print_log


def import_available(modules: Iterable[str]) -> None:
    """Import modules for what they register, up to the first that cannot be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        # mmdet asserts its version windows instead of raising ImportError.
        except (ImportError, AssertionError) as error:
            print_log(
                f"{module} is not available: {error}. `python -m gcp_mm.doctor` lists what to "
                "install",
                logger="current",
                level=logging.WARNING,
            )
            return
