"""Everything that importing the plugin changes in mmengine, through public hooks only."""

from __future__ import annotations

import functools

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import register_backend

from gcp_mm.engine.atomic_backend import AtomicLocalBackend
from gcp_mm.engine.checkpoint_loader import register_loaders


@functools.cache
def activate() -> None:
    """Install the checkpoint loaders, the atomic file backend and the ``gcp_mm::`` prefix.

    Calling it again does nothing.
    """
    register_loaders()
    register_backend("gcp_mm_atomic", AtomicLocalBackend, force=True)
    # Without the entry `_base_='gcp_mm::...'` is refused:
    # https://github.com/open-mmlab/mmengine/issues/1581
    MODULE2PACKAGE.setdefault("gcp_mm", "gcp_mm")
