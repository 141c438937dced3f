"""Ctrl-C while a program of this project is still being imported.

Imports next to nothing: what it imports, Ctrl-C can still end with a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from os import path

# As a shell reports a program that Ctrl-C has ended.
INTERRUPTED = 130
_PACKAGE = path.dirname(path.abspath(__file__))  # noqa: PTH100, PTH120


def _is_own_program() -> bool:
    """Say whether this process was started as gcp-mm, by its module, or from tools/."""
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    # A process that it starts has its name, and is ended by it.
    if "--multiprocessing-fork" in sys.orig_argv:
        return False
    # So it is called until the module has been found.
    if program == "-m":
        return any(word.startswith("gcp_mm.") for word in sys.orig_argv)
    folder, name = path.split(path.abspath(program))  # noqa: PTH100
    own = (path.join(path.dirname(_PACKAGE), "tools"), path.join(_PACKAGE, ".mim", "tools"))  # noqa: PTH118, PTH120
    return name == "gcp-mm" or folder in own


def _end(*_: object) -> None:
    """Say one line, in one of several processes, and end: nothing is there to clean up."""
    if (os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or "0") == "0":
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def end_without_traceback() -> None:
    """Let Ctrl-C end a program of this project at once, until its work begins.

    An exception would come out of whatever is being imported, as a traceback, or be lost in a
    callback. In any other program nothing changes.
    """
    if _is_own_program() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def work_begins() -> None:
    """Let Ctrl-C be an exception again, which the work cleans up after."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
