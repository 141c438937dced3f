"""How many kernels a function starts, and what it costs host, device and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from timing import seconds_of


def launches(function: Callable[[], Any], device: torch.device) -> int:
    """Return the number of kernels, copies and fills of a call; on a CPU, of PyTorch's calls."""
    cuda = device.type == "cuda"
    kinds = torch.profiler.ProfilerActivity
    function()
    with torch.profiler.profile(activities=[kinds.CPU, *([kinds.CUDA] * cuda)]) as profile:
        function()
        if cuda:
            torch.cuda.synchronize()
    events = profile.events() or []
    if cuda:
        return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in events)
    return sum(not event.cpu_children for event in events)


def host_seconds(function: Callable[[], Any], device: torch.device, repetitions: int) -> float:
    """Return how long the host is busy with a call, the median; the device may take longer.

    A few calls at a time, because the queue of a device is not endless, and a full one waits.
    """
    found, calls = [], 4
    for _ in range(repetitions):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            function()
        found.append((time.perf_counter() - start) / calls)
    return statistics.median(found)


def graph_seconds(function: Callable[[], Any], device: torch.device, repetitions: int) -> float:
    """Return how long a replay of a captured call takes, the median: the device alone."""
    replay = function
    if device.type == "cuda":
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                function()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function()
        replay = graph.replay
    replay()
    return statistics.median(seconds_of(replay, device) for _ in range(repetitions))


def memory(function: Callable[[], Any], device: torch.device) -> int:
    """Return the peak of a call on a GPU beyond what was there; what it returns counts."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = function()
    torch.cuda.synchronize(device)
    del result
    return torch.cuda.max_memory_allocated(device) - before


def copy_rate(device: torch.device, megabytes: int) -> float:
    """Return the bytes in a second that a copy reads and writes, the best of 10."""
    source = torch.randn(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    best = min(seconds_of(lambda: target.copy_(source), device) for _ in range(10))
    return 2 * source.nbytes / best
