"""End with the launcher, even if the launcher is killed."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends.

    torchrun starts its workers in sessions of their own. After ``kill -9`` of the launcher they
    would train on, and write into the work folder of the run that was started in its place.
    Only Linux has the request; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
