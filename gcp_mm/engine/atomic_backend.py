"""A local file backend whose files are either complete or absent."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


@register_backend("gcp_mm_atomic", force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files, written beside their final place and then renamed.

    A training run that is killed while it writes a checkpoint leaves the previous one as it was.
    Configs choose it with ``default_hooks.checkpoint.backend_args=dict(backend='gcp_mm_atomic')``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to ``filepath`` atomically.

        Args:
            obj: The content.
            filepath: The final path; its folder is made if needed.
        """
        target = Path(filepath)
        target.parent.mkdir(parents=True, exist_ok=True)
        # One temporary name per target: what a killed run left behind is overwritten by the next.
        temporary = target.with_name(f".{target.name}.part")
        with temporary.open("wb") as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
