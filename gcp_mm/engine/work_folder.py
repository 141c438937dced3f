"""One training at a time in a work folder, whatever starts it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gcp_mm.locks import hold_folder

# Of this process: the tool that builds a runner may hold what the runner's hook asks for.
_held: set[str] = set()


@contextlib.contextmanager
def only_training(work_dir: str | Path) -> Iterator[None]:
    """Hold a work folder while a training is at work in it; once in a process, not twice.

    Args:
        work_dir: The folder; it is made if needed.

    Yields:
        Nothing.

    Raises:
        UserError: If another process trains in it; names that process. If it cannot be written to.
    """
    key = os.path.realpath(work_dir)
    if key in _held:
        yield
        return
    lock = hold_folder(
        work_dir,
        "is being trained in",
        "wait for it, stop it, or choose another folder (--work-dir)",
    )
    with lock:
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)
