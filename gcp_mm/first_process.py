"""Work that one process does for all, and what it logs for all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, get_rank
from mmengine.logging import print_log

from gcp_mm.errors import UserError

_Result = TypeVar("_Result")


def on_first_process(function: Callable[[], _Result]) -> _Result:
    """Call a function in the first process and give its result, or its error, to all.

    So a folder is listed once, and no process waits for one that has met an error: what is no
    UserError becomes a RuntimeError in the others. The result is pickled.
    """
    box: list = [None, None]
    if get_rank() == 0:
        try:
            box[0] = function()
        except UserError as error:
            box[1] = error
        except Exception as error:
            box[1] = RuntimeError(f"the first process met {type(error).__name__}: {error}")
            broadcast_object_list(box)
            raise
    broadcast_object_list(box)
    if box[1] is not None:
        raise box[1]
    return box[0]


def log(line: str) -> None:
    """Log a line where the run logs; of several processes the first one shows it."""
    print_log(line, logger="current")


def warn(line: str) -> None:
    """Log a warning."""
    print_log(line, logger="current", level=logging.WARNING)
