"""One evaluation at a time for each result file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gcp_mm.first_process import on_first_process
from gcp_mm.locks import hold_file


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other evaluations from a result file and its top-5 files.

    Of all processes of a launcher the first one takes part; see :class:`gcp_mm.locks.Lock`.

    Args:
        path: The result file.

    Yields:
        Nothing.

    Raises:
        UserError: In every process, if another evaluation writes the file, or the lock cannot be
            written.
    """
    lock = hold_file(path, "is being written", "wait for it, or choose another --out")

    def take() -> None:
        lock.acquire()

    on_first_process(take)
    try:
        yield
    finally:
        # Nothing happens in a process that does not hold it.
        lock.release()
