"""End with the launcher, even if it is killed, and take the workers of data loaders along."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends.

    torchrun starts its workers in sessions of their own. After ``kill -9`` of the launcher they
    would train on, and write into the work folder of the run that was started in its place.
    Only Linux has the request; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@functools.cache
def end_children_too() -> None:
    """Ask the kernel to kill what this process forks from now on when this process ends.

    A worker of a data loader that finds its parent gone waits for the reader of its queue, and has
    the reading end of that pipe itself: with a full pipe it stays for ever, with its memory.
    Calling this again does nothing.
    """
    if sys.platform != "linux":
        return
    from_main_thread = False

    def before() -> None:
        nonlocal from_main_thread
        from_main_thread = threading.current_thread() is threading.main_thread()

    def after() -> None:
        # The kernel's request is about the thread that forked, and others end before the process.
        if from_main_thread:
            die_with_parent()

    os.register_at_fork(before=before, after_in_child=after)
