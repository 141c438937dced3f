"""What every command-line tool does around its one library call."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from gcp_mm.errors import UserError

_Result = TypeVar("_Result")

# Seconds that a process other than the first keeps its message back.
_PATIENCE = 15


def _message(error: UserError) -> str:
    """Return the error's text; from a worker of a data loader it comes inside a traceback."""
    text = str(error)
    if text.startswith("Caught ") and "Traceback (most recent call last)" in text:
        kind = type(error)
        text = text.rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].strip()
    return text


def run_command(command: Callable[[], _Result]) -> _Result:
    """Call ``command``; turn a :class:`UserError` into one message and exit code 2.

    Several processes usually meet the same error: the first prints at once, and its end
    makes the launcher stop the others, which wait a moment so that one message appears, not N.

    Args:
        command: The work of the tool.

    Returns:
        What ``command`` returns.
    """
    try:
        return command()
    except UserError as error:
        # srun sets the second for its processes, torchrun the first.
        rank = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or "0"
        if rank != "0":
            time.sleep(_PATIENCE)
        sys.stdout.flush()
        print(f"error: {_message(error)}", file=sys.stderr, flush=True)
        # Not sys.exit: worker processes and a process group that waits must not hold us up.
        os._exit(2)
