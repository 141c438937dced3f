"""A local file backend whose files are either complete or absent."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from gcp_mm.files import atomic_write


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

        Raises:
            FileWriteError: If it cannot be written.
        """
        atomic_write(filepath, obj)
