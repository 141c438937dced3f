"""How far a long piece of work is, shown by one process."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from mmengine.dist import get_rank
from mmengine.utils import ProgressBar, Timer
from torch.utils.data import get_worker_info

# Seconds after which work that is usually short is long enough for a bar.
_PATIENCE = 3.0

# Seconds between two states of the bar, on a terminal and in a file, which keeps each of them.
_EVERY, _EVERY_IN_FILE = 0.2, 5.0


class Progress:
    """mmengine's bar, on the error output: the rate and the time that is left.

    Silent in all processes but the first, and in workers of data loaders. Used as a context, it
    ends its line, whatever comes next: an error message begins a new one.

    Args:
        total: Steps of the work; None if nobody knows, then they are counted.
        what: What is done, for a line above the bar.
        patience: Seconds that have to pass before the bar is shown.
    """

    def __init__(self, total: int | None, what: str = "", patience: float = 0.0) -> None:
        # A bar of nothing would divide by zero.
        self._shown = total != 0 and get_rank() == 0 and get_worker_info() is None
        self._total, self._what = total, what
        self._bar = ProgressBar(total or 0, start=False, file=sys.stderr)
        self._bar.timer = Timer()
        self._done = self._waiting = 0
        self._begun = False
        self._next = time.monotonic() + patience
        if self._shown and not patience:
            self._begin()

    def __enter__(self) -> Progress:
        """Return the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state and end the line."""
        if self._begun:
            self._show()
            print(file=sys.stderr, flush=True)

    def update(self, steps: int = 1) -> None:
        """Move on."""
        if not self._shown:
            return
        self._done += steps
        self._waiting += steps
        now = time.monotonic()
        if now >= self._next or (self._begun and self._done == self._total):
            if not self._begun:
                self._begin()
            self._show()
            self._next = now + (_EVERY if sys.stderr.isatty() else _EVERY_IN_FILE)

    def say(self, line: str) -> None:
        """Print a line to the standard output, beside the bar."""
        if self._shown:
            if self._begun:
                print(file=sys.stderr)
            print(line, flush=True)

    def _begin(self) -> None:
        self._begun = True
        if self._what:
            print(f"{self._what}:", file=sys.stderr)
        timer = self._bar.timer
        self._bar.start()
        # What was done before the bar was shown took time as well.
        self._bar.timer = timer

    def _show(self) -> None:
        if self._waiting:
            if not self._total:
                # mmengine does not return to the beginning of the line when it only counts.
                print(end="\r", file=sys.stderr)
            self._bar.update(self._waiting)
            self._waiting = 0


def if_long(total: int | None, what: str) -> Progress:
    """Return a bar for work that is usually short: it is shown after three seconds."""
    return Progress(total, what, _PATIENCE)


class Stages:
    """One bar after another, for a function that says which stage it is at.

    Called with the name of a stage, the steps that are done and their number (None: not known), at
    the beginning of the stage with 0 steps and later after each of them.

    Args:
        names: What to show for a stage, by its name; other stages are shown by their names.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names = names or {}
        self._current: Progress | None = None
        self._done = 0

    def __enter__(self) -> Stages:
        """Return what is to be called."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the bar of the last stage."""
        self.end()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Begin a stage, or move on in it."""
        if done == 0:
            self.end()
            self._current, self._done = Progress(total, self._names.get(stage, stage)), 0
        elif self._current:
            self._current.update(done - self._done)
            self._done = done

    def end(self) -> None:
        """End the line of the bar, if there is one."""
        if self._current:
            self._current.__exit__()
            self._current = None
