"""Progress over all cells, shown by the first process."""

from __future__ import annotations

import sys

from mmengine.dist import get_rank
from mmengine.utils import ProgressBar


class Progress:
    """A bar with the rate and the time that is left; silent in the other processes.

    Used as a context, it ends its line, whatever comes next: an error message begins a new one.

    Args:
        total: Files that this process reads.
    """

    def __init__(self, total: int) -> None:
        # A bar of nothing would divide by zero.
        shown = total and get_rank() == 0
        self._bar = ProgressBar(total, file=sys.stderr) if shown else None

    def __enter__(self) -> Progress:
        """Return the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the line."""
        if self._bar:
            print(file=sys.stderr, flush=True)

    def update(self, files: int) -> None:
        """Move on.

        Args:
            files: Files that have been read since.
        """
        if self._bar and files:
            self._bar.update(files)

    def say(self, line: str) -> None:
        """Print a line to the standard output, beside the bar.

        Args:
            line: The line.
        """
        if self._bar:
            print(file=sys.stderr)
            print(line, flush=True)
