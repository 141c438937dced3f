"""The same statements on the CPU and on a GPU: what differs between the two is here.

A test with `on_every_device` is run twice, the second time marked ``gpu``, and gets numbers on its
device from ``normal``.
"""

from contextlib import contextmanager, nullcontext

import pytest
import torch

on_every_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)


def with_implementations(*names):
    """Run a test with an `impl` of these on every device, and on a GPU with 'gram_fused' too."""
    on_gpu = [pytest.param("cuda", name, marks=pytest.mark.gpu) for name in (*names, "gram_fused")]
    cases = [*(("cpu", name) for name in names), *on_gpu]
    return pytest.mark.parametrize(("device", "impl"), cases, indirect=["device"])


def captured(function, device):
    """Capture a function of fixed tensors into a CUDA graph; return it, or its replay.

    The replay returns what the function returned while it was captured, with new numbers in it.
    """
    if device.type != "cuda":
        return function
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # compilation, and cuBLAS's memory, before the capture
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay():
        graph.replay()
        return result

    return replay


@contextmanager
def no_synchronisation(device):
    """Raise where the host waits for the device."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def at_once(functions, device):
    """Call each function on a stream of its own, where they may overlap; return the results."""
    if device.type != "cuda":
        return [function() for function in functions]
    results, current = [], torch.cuda.current_stream()
    streams = [torch.cuda.Stream() for _ in functions]
    for stream, function in zip(streams, functions, strict=True):
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            results.append(function())
    for stream in streams:
        current.wait_stream(stream)
    torch.cuda.synchronize()
    return results


def autocast(device, dtype):
    """Autocast in a dtype; None is none."""
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def held_bytes(device):
    """Bytes in use on a GPU."""
    torch.cuda.synchronize(device)
    return torch.cuda.memory_allocated(device)
