"""Time the implementations of the pooling layer against each other, in one process.

The implementations take turns on the same fresh post-ReLU features, forward and backward. Their
errors are measured in the same run, against the reference in float64; an implementation whose
error is above the bound gets no time. Only ratios mean something: the machine is whatever it is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.global_covariance_pool import IMPLEMENTATIONS
from gcp_mm.version import __version__

MAX_ERROR = 5e-6


def forward_backward(
    impl: str, x: torch.Tensor, cotangent: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the layer once and return its value and its gradient."""
    x = x.detach().requires_grad_()
    value = global_covariance_pool(x, impl=impl)
    (gradient,) = torch.autograd.grad(value, x, cotangent)
    return value.detach(), gradient


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over the largest expected magnitude."""
    return ((actual.double() - expected).abs().max() / expected.abs().max()).item()


def features(batch: int, channels: int, side: int) -> torch.Tensor:
    """Draw features as they come out of a ReLU."""
    return torch.randn(batch, channels, side, side).relu()


def measure(batch: int, channels: int, side: int, repetitions: int) -> dict:
    """Measure every implementation on one shape.

    Args:
        batch: Samples B.
        channels: Channels C.
        side: Height and width of the map.
        repetitions: Timed rounds; each implementation runs once in a round.

    Returns:
        By implementation: median and quartiles in milliseconds, errors of value and gradient.
    """
    cotangent = torch.randn(batch, channels * (channels + 1) // 2)
    x = features(batch, channels, side)
    exact = forward_backward("reference", x.double(), cotangent.double())
    results = {}
    for impl in IMPLEMENTATIONS:
        errors = [
            relative_error(*pair)
            for pair in zip(forward_backward(impl, x, cotangent), exact, strict=True)
        ]
        results[impl] = {"value_error": errors[0], "gradient_error": errors[1]}
    accurate = [name for name in results if max(results[name].values()) <= MAX_ERROR]
    times: dict[str, list[float]] = {impl: [] for impl in accurate}
    for _ in range(repetitions):
        x = features(batch, channels, side)
        for impl in accurate:
            start = time.perf_counter()
            forward_backward(impl, x, cotangent)
            times[impl].append(1e3 * (time.perf_counter() - start))
    for impl, samples in times.items():
        low, median, high = statistics.quantiles(samples, n=4)
        results[impl] |= {"median_ms": median, "quartiles_ms": [low, high]}
    return results


def main() -> None:
    """Measure, print ratios and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--sides", type=int, nargs="+", default=[14, 7])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    report = {
        "machine": f"{platform.machine()}, {args.threads} threads, CPU",
        "torch": torch.__version__,
        "gcp_mm": __version__,
        "batch": args.batch,
        "channels": args.channels,
        "repetitions": args.repetitions,
        "maps": {},
    }
    for side in args.sides:
        results = measure(args.batch, args.channels, side, args.repetitions)
        report["maps"][f"{side}x{side}"] = results
        base = results["reference"].get("median_ms")
        for impl, row in results.items():
            speed = "no time: error above the bound"
            if "median_ms" in row and base:
                speed = f"{row['median_ms']:8.1f} ms  {base / row['median_ms']:5.2f} x reference"
            print(
                f"{side:>3} x {side:<3} {impl:<10} {speed}   "
                f"error {row['value_error']:.1e} / {row['gradient_error']:.1e}"
            )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=2) + "\n")
        print(f"written to {args.out}")


if __name__ == "__main__":
    main()
