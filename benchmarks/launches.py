"""Count the launches of a pass of the layer, and the time that it takes the host, without a GPU.

Kernels are compiled for a GPU that is not there, and a launcher that only counts stands in for the
driver's. Operators of PyTorch count as one launch each unless they make a view, or memory that is
not filled; on a GPU some of them are two. Host time is that of the whole layer in eager mode, with
tensors on the CPU that are so small that their arithmetic hardly counts. The driver is not in it,
some microseconds for every launch, so that it is a lower bound.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from absent_gpu import AbsentGPU, absent_gpu
from machine import describe, write_report
from torch.utils._python_dispatch import TorchDispatchMode

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.gram import fused, operator

SHAPE = (1, 3, 1, 2)
"""Of the features that are timed: fewer positions than channels, and hardly any arithmetic."""

NO_KERNEL = ("empty", "new_empty", "_unsafe_view", "scalar_tensor")
"""Operators without alias annotations that start nothing: `where` keeps its numbers on the host."""


class Operators(TorchDispatchMode):
    """Counts operators of PyTorch that would start a kernel on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.started: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operator and run it."""
        results = func._schema.returns
        is_view = bool(results) and all(
            r.alias_info is not None and not r.alias_info.is_write for r in results
        )
        name = func._schema.name.partition("::")[2]
        if not is_view and not name.startswith(NO_KERNEL):
            self.started[name] += 1
        return func(*args, **(kwargs or {}))


def launches(gpu: AbsentGPU, call: Callable[[], Any], groups: int) -> dict[str, Any]:
    """Count the launches of a call, of which a whole batch takes as many as it has groups."""
    call()
    gpu.started.clear()
    with Operators() as operators:
        call()
    by_name = {"triton": dict(gpu.started), "torch": dict(operators.started)}
    return {"total": groups * (gpu.started.total() + operators.started.total())} | by_name


def microseconds(call: Callable[[], Any], repetitions: int) -> dict[str, float]:
    """Return the median and the least time of a call."""
    times = []
    for number in range(-20, repetitions):
        start = time.perf_counter()
        call()
        if number >= 0:
            times.append(1e6 * (time.perf_counter() - start))
    return {"median_us": statistics.median(times), "least_us": min(times)}


def groups_of(impl: str, shape: tuple[int, int, int]) -> int:
    """Return in how many groups of samples a batch on a GPU is pooled."""
    x = torch.empty(shape, device="meta")
    step = operator.samples_at_once(x)
    return len(list(fused.groups(x))) if impl == "gram_fused" else -(-len(x) // step)


def measure(gpu: AbsentGPU, impl: str, args: argparse.Namespace) -> dict[str, Any]:
    """Count and time both directions of an implementation."""
    x = torch.rand(SHAPE).half().requires_grad_()
    flat = x.detach().flatten(2)
    vector = global_covariance_pool(x, args.num_iters, impl)
    grad = torch.rand_like(vector)
    groups = groups_of(impl, (args.batch, args.channels, args.positions))
    if impl == "gram_fused":
        functions = fused.fused_forward, fused.fused_backward
    else:
        functions = operator.forward_by_products, operator.backward_by_products
    forward = partial(functions[0], flat, args.num_iters)
    backward = partial(functions[1], flat, grad, args.num_iters)

    def layer() -> torch.Tensor:
        return global_covariance_pool(x, args.num_iters, impl)

    def both() -> None:
        torch.autograd.grad(layer(), x, grad)

    return {
        "groups": groups,
        "forward": launches(gpu, forward, groups) | microseconds(layer, args.repetitions),
        "backward": launches(gpu, backward, groups),
        "forward+backward": microseconds(both, args.repetitions),
    }


def main() -> None:
    """Count, time, print a table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--positions", type=int, default=196)
    parser.add_argument("--num-iters", type=int, default=5)
    parser.add_argument("--capability", type=int, default=90, help="what kernels are compiled for")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe(torch.device("cpu"))
    report: dict[str, Any] = {"machine": machine, "arguments": vars(args), "layers": {}}
    print(f"{'launches of a batch':20} {'forward':>8} {'backward':>9}   host time of one group")
    gpu = AbsentGPU(args.capability)
    with tempfile.TemporaryDirectory() as cache, absent_gpu(gpu, Path(cache)):
        for impl in ("gram", "gram_fused"):
            row = report["layers"][impl] = measure(gpu, impl, args)
            forward, both = row["forward"], row["forward+backward"]
            print(
                f"{impl:20} {forward['total']:8} {row['backward']['total']:9}   "
                f"forward {forward['median_us']:.0f} us, with backward {both['median_us']:.0f} us"
            )
    write_report(report, args.out)


if __name__ == "__main__":
    main()
