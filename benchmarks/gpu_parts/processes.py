"""Runs functions in processes of their own, so that a crash or a hang costs one of them.

Each starts afresh: neither a driver nor the threads of a CPU's products survive a fork. The quick
run has neither, and forks from a process that has imported everything, which takes the time there.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends, however it does."""
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _redirected(log: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call a function in a session of its own, with its output in a file."""
    os.setsid()
    _die_with_parent()
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    function(*arguments)


def last_lines(log: Path, number: int = 60) -> list[str]:
    """Return the end of an output."""
    return log.read_text(errors="replace").splitlines()[-number:] if log.exists() else []


@dataclass(eq=False)
class Job:
    """A function that runs in another process.

    Attributes:
        name: Of the job.
        log: The file with its output.
        process: The process.
        started: When, by the monotonic clock.
    """

    name: str
    log: Path
    process: BaseProcess
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, name: str, fork: bool, log: Path, function: Callable, *arguments: Any) -> Job:
        """Start a function of a module, with its output in ``log``."""
        context = multiprocessing.get_context("fork" if fork else "spawn")
        process = context.Process(target=_redirected, args=(log, function, arguments))
        process.start()
        return cls(name, log, process)

    def stop(self) -> None:
        """Kill the process and all that it started."""
        if self.process.pid is not None and self.process.is_alive():
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has no session of its own yet
                self.process.kill()
        self.process.join()

    def wait(self, end: float, meanwhile: Callable[[], None] = lambda: None) -> str | None:
        """Wait until it ends, or until a time by the clock that all processes share.

        Args:
            end: By the monotonic clock; then it is killed.
            meanwhile: Called several times a second.

        Returns:
            Why it failed, with the end of its output; None if it did not.
        """
        while self.process.is_alive() and time.monotonic() < end:
            self.process.join(min(0.2, max(0.0, end - time.monotonic())))
            meanwhile()
        late = self.process.is_alive()
        self.stop()
        if late:
            return f"stopped after {time.monotonic() - self.started:.0f} s; {self.tail()}"
        if self.process.exitcode:
            return f"exit code {self.process.exitcode}; {self.tail()}"
        return None

    def text(self) -> str:
        """Return its output."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self) -> str:
        """Return the last line of its output that says something."""
        lines = [line for line in self.text().splitlines() if line.strip()]
        return f"{lines[-1].strip()[:300] if lines else 'no output'} ({self.log})"


def as_they_end(jobs: list[Job], end: float) -> Iterator[tuple[Job, str | None]]:
    """Yield each job when it has ended, and why it failed; those that have not by `end` are killed.

    It leaves the list, and jobs that are appended to it meanwhile are waited for too.
    """
    while jobs:
        late = time.monotonic() >= end
        ready = [job for job in jobs if late or not job.process.is_alive()]
        for job in ready:
            jobs.remove(job)
            yield job, job.wait(end)
        if not ready:
            multiprocessing.connection.wait([job.process.sentinel for job in jobs], 0.2)
