"""Commands in forked children: OpenMMLab is imported once, and a child may be killed or crash."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase

# Seconds after which a command counts as hanging; the longest one takes twenty on a busy machine.
PATIENCE = 120


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: Its exit status; minus the number of the signal that ended it; None if it hung.
        output: What it printed, both streams.
    """

    code: int | None
    output: str

    @property
    def crashed(self) -> bool:
        """Whether it hung, was ended by a signal that it sent to itself, or left a traceback."""
        return self.code is None or self.code < 0 or "Traceback (most recent" in self.output

    @property
    def refused(self) -> bool:
        """Whether it ended as every command does that a user has to help: one line, status 2."""
        return self.code == 2 and not self.crashed and "error: " in self.output

    @property
    def last_line(self) -> str:
        """The last line that it printed."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return f"[{self.code}] {lines[-1] if lines else ''}"


def run_forked(work: Callable[[], object], patience: float = PATIENCE) -> Ended:
    """Call a function in a child with its own session, and wait for it.

    Args:
        work: The function; what it raises is printed, and the status is then 1.
        patience: Seconds after which the session is killed.

    Returns:
        How it ended. Nothing of its session is left.
    """
    # A file would be subject to the limits that a trial sets.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens, the child must not go on with the work of its parent.
        code = 1
        try:
            os.setsid()
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.close(read)
            os.close(write)
            # The streams of the parent remember whether they can seek.
            sys.stdout = open(1, "w", closefd=False)
            sys.stderr = open(2, "w", buffering=1, closefd=False)
            code = _call(work)
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as output:
        code, text = _follow(child, output, patience)
    return Ended(code, text)


def _call(work: Callable[[], object]) -> int:
    """Return the exit status that Python would give."""
    code = 0
    try:
        work()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return code


def _follow(child: int, output: RawIOBase, patience: float) -> tuple[int | None, str]:
    """Read what a child prints until it ends; return its exit status, None if it hung."""
    end, parts, code = time.monotonic() + patience, [], None
    while code is None and time.monotonic() < end:
        if select.select([output], [], [], 0.005)[0]:
            parts.append(output.read(1 << 16))
            if not parts[-1]:
                # It has closed its output and may go on.
                time.sleep(0.005)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
    # Workers that outlive it hold its output.
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    while select.select([output], [], [], 0)[0] and (part := output.read(1 << 16)):
        parts.append(part)
    return code, b"".join(parts).decode(errors="replace")


def command(*arguments: object) -> Callable[[], object]:
    """Return what calls ``gcp-mm ARGUMENTS``."""

    def work() -> object:
        from gcp_mm.cli.main import main

        code = main([str(argument) for argument in arguments])
        raise SystemExit(code or 0)

    return work


def import_everything() -> None:
    """Import what the commands need, before the first child is made."""
    import importlib

    for name in (
        "mmdet.apis",
        "mmdet.datasets",
        "mmdet.models",
        "mmpretrain.apis",
        "mmpretrain.datasets",
        "mmpretrain.models",
        "gcp_mm.registry",
        "gcp_mm.engine.runner",
        "gcp_mm.robustness.evaluation.evaluate",
        "gcp_mm.landscape.probe",
    ):
        importlib.import_module(name)
