"""The peak memory of a call, in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def _call(function: Callable[..., object], *arguments: object) -> float:
    function(*arguments)
    # Not ru_maxrss, which a process inherits from the one that starts it.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def peak_memory(function: Callable[..., object], *arguments: object) -> float:
    """Call a function in a fresh process (Linux) and return the peak of its memory in MiB."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_call, function, *arguments).result()
