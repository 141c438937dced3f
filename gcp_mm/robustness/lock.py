"""One evaluation at a time for each result file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from gcp_mm.errors import UserError
from gcp_mm.robustness.first_process import on_first_process


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other evaluations from a result file and its top-5 files.

    ``.<name>.lock`` beside the file states the process and the machine, and is removed at the end.
    That of a process of this machine that has ended without removing it is taken over. Of all
    processes of a launcher the first one takes part.

    Args:
        path: The result file.

    Yields:
        Nothing.

    Raises:
        UserError: In every process, if another evaluation writes the file, or the lock cannot be
            written.
    """
    lock = filelock.SoftFileLock(path.with_name(f".{path.name}.lock"))
    on_first_process(lambda: _take(lock, path))
    try:
        yield
    finally:
        # Nothing happens in a process that does not hold it.
        lock.release()


def _take(lock: filelock.SoftFileLock, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A lock that was left behind is removed by one attempt and taken by a later one.
        lock.acquire(timeout=1, poll_interval=0.2)
    except filelock.Timeout as error:
        holder = f"process {lock.pid}" if lock.pid != os.getpid() else "this process"
        raise UserError(
            f"{str(path)!r} is being written by another evaluation ({holder}, see "
            f"{lock.lock_file!r}): wait for it, or choose another --out. If it was stopped on "
            "another machine, delete the lock file"
        ) from error
    except OSError as error:
        raise UserError(f"result file {str(path)!r} cannot be written: {error}") from error
