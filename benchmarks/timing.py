"""Time functions that take turns, so that the machine's moods meet all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


def seconds_of(function: Callable[[], Any], device: torch.device) -> float:
    """Return how long a call takes, on a GPU by events on its stream."""
    if device.type != "cuda":
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    function()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def interleaved(
    functions: Mapping[str, Callable[[Any], Any]],
    make_input: Callable[[], Any],
    device: torch.device,
    repetitions: int,
    warm_up: int = 2,
) -> dict[str, list[float]]:
    """Call every function once in each round, on one fresh input per round.

    Args:
        functions: By name.
        make_input: Makes the argument of a round.
        device: Where the functions run.
        repetitions: Timed rounds.
        warm_up: Rounds before them.

    Returns:
        Seconds by name, one for each timed round.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    order = list(functions.items())
    for number in range(-warm_up, repetitions):
        argument = make_input()
        # Each round begins with another one: what ran before matters to the next.
        first = number % len(order)
        for name, function in order[first:] + order[:first]:
            seconds = seconds_of(lambda f=function, a=argument: f(a), device)
            if number >= 0:
                times[name].append(seconds)
    return times


def summary(samples: list[float]) -> dict[str, float | list[float]]:
    """Return median and quartiles in milliseconds."""
    low, median, high = statistics.quantiles(samples, n=4)
    return {"median_ms": 1e3 * median, "quartiles_ms": [1e3 * low, 1e3 * high]}


def ratio(slow: list[float], fast: list[float], seed: int = 0) -> dict[str, float | list[float]]:
    """Return the ratio of two medians with its 95 % bootstrap interval over the rounds."""
    pairs = np.array([slow, fast])
    rounds = np.random.default_rng(seed).integers(len(slow), size=(2000, len(slow)))
    medians = np.median(pairs[:, rounds], axis=-1)
    low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    return {"ratio": statistics.median(slow) / statistics.median(fast), "interval": [low, high]}
