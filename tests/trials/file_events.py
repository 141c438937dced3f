"""Kill a process at its n-th change of the files below a folder.

Python announces a change before it happens (https://docs.python.org/3/library/audit_events.html):
files opened for writing, renamed or removed, and folders made or removed. Killed at number n, a
process has made the n - 1 changes before it, so trying every n tries every state that can be left.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {f"os.{name}" for name in ("link", "mkdir", "remove", "rename", "rmdir", "symlink")}
_CHANGES.add("os.truncate")


def is_change(event: str, arguments: tuple, folder: Path) -> bool:
    """Say whether an audit event is a change below a folder, whose path is resolved."""
    if event == "open":
        path, _, flags = arguments
        return isinstance(flags, int) and bool(flags & _WRITING) and _is_below(path, folder)
    return event in _CHANGES and any(_is_below(path, folder) for path in arguments[:2])


def _is_below(path: object, folder: Path) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    # A link is changed itself, not what it leads to.
    where = Path(os.fsdecode(path))
    return folder in (where.parent.resolve() / where.name).parents


class FileEvents:
    """Counts the changes that a forked child and its own children make, and ends them at one.

    Args:
        folder: Changes elsewhere do not count.
        kill_at: Number of the change that is not made any more, from 1; 0 to count only.
    """

    def __init__(self, folder: Path, kill_at: int = 0) -> None:
        self._folder = folder.resolve()
        self._kill_at = kill_at
        self._memory = mmap.mmap(-1, 8)

    @property
    def count(self) -> int:
        """Number of changes that were announced."""
        return struct.unpack("q", self._memory[:8])[0]

    def watching(self, work: Callable[[], object]) -> Callable[[], object]:
        """Return ``work`` with its changes counted; call it in a forked child."""

        def watched() -> object:
            # An audit hook cannot be removed; here it goes with the child.
            sys.addaudithook(self._on_event)
            return work()

        return watched

    def _on_event(self, event: str, arguments: tuple) -> None:
        if not is_change(event, arguments, self._folder):
            return
        number = self.count + 1
        self._memory[:8] = struct.pack("q", number)
        if number == self._kill_at:
            os.killpg(0, signal.SIGKILL)
