"""What every command-line tool does around its one library call."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from gcp_mm.console.machine_errors import explain
from gcp_mm.console.noise import be_quiet
from gcp_mm.errors import UserError
from gcp_mm.interruption import INTERRUPTED, work_begins

_Result = TypeVar("_Result")

# Seconds that a process other than the first keeps its message back.
_PATIENCE = 15
# As a shell reports a program whose output nobody reads any more, as behind `| head`.
_PIPE_CLOSED = 141


def _message(error: UserError) -> str:
    """Return the error's text; from a worker of a data loader it comes inside a traceback."""
    text = str(error)
    if text.startswith("Caught ") and "Traceback (most recent call last)" in text:
        kind = type(error)
        text = text.rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].strip()
    return text


def run_command(command: Callable[[], _Result]) -> _Result:
    """Call ``command``; turn what a user can mend into one message and exit code 2.

    That is a :class:`UserError`, or a failure of the machine. Ctrl-C ends it with code 130, and an
    output that nobody reads with 141.
    Several processes usually meet the same error: the first prints at once, and its end
    makes the launcher stop the others, which wait a moment so that one message appears, not N.
    """
    # Names of files that are no text in this locale are printed with escapes.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    be_quiet()
    # A full disk would give a traceback for each line of the log, beside the error that ends it.
    logging.raiseExceptions = False
    try:
        work_begins()
        return command()
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _leave("error: nobody reads the output any more (broken pipe)", _PIPE_CLOSED)
    except UserError as error:
        _leave(f"error: {_message(error)}", 2)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        _leave(f"error: {told}", 2)


def _leave(message: str, code: int) -> NoReturn:
    """Print a message, in one of several processes, and end at once."""
    # srun sets the second for its processes, torchrun the first.
    rank = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or "0"
    if rank != "0" and code != INTERRUPTED:
        time.sleep(_PATIENCE)
    with contextlib.suppress(OSError):  # the disk of a redirected output may be the full one
        sys.stdout.flush()
    if rank == "0" or code != INTERRUPTED:
        print(message, file=sys.stderr, flush=True)
    # Not sys.exit, which waits for worker processes, threads and a process group whose members wait
    # for us. It leaves out the handlers of atexit too: what a run keeps back until its end has been
    # written before, by gcp_mm.engine.runner.
    os._exit(code)
