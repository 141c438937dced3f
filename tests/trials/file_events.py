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
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}


class FileEvents:
    """Counts the changes that a forked child and its own children make, and ends them at one.

    Args:
        folder: Changes elsewhere do not count.
        kill_at: Number of the change that is not made any more, from 1; 0 to count only.
    """

    def __init__(self, folder: Path, kill_at: int = 0) -> None:
        self._folder = f"{folder}{os.sep}"
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
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING:
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        try:
            # Not resolved: a link that is opened for writing is a change where it lies.
            path = os.path.abspath(os.fspath(path))  # noqa: PTH100
        except TypeError:
            return
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not path.startswith(self._folder):
            return
        number = self.count + 1
        self._memory[:8] = struct.pack("q", number)
        if number == self._kill_at:
            os.killpg(0, signal.SIGKILL)
