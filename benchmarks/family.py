"""Time every member of the second-order family against its form as printed, in one process.

Both take turns on the same fresh post-ReLU features. They have to agree first, in value and in
gradient, in float64; where the printed form gives no number, because eigenvalues are equal, only
this project's is checked. Of autograd's memory each block is counted once. Only ratios mean
something: the machine is whatever it is.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import plain_family as printed
import torch
from allocated_memory import bytes_saved_for_backward
from features import relu
from machine import describe, write_report
from peers import layers, plain
from timing import interleaved, ratio, summary
from torch import Tensor

from gcp_mm.ops import METHODS, SecondOrderPool

SKETCH = 8192
Layer = Callable[[Tensor], Tensor]


def members(channels: int) -> dict[str, tuple[SecondOrderPool, Layer]]:
    """Return this project's pooling and the printed form, by name."""
    pools = {
        "iSQRT-COV": dict(normalization=dict(type="newton_schulz", num_iters=5)),
        "covariance (DropCov)": dict(normalization="none"),
        "MPN-COV": dict(normalization="matrix_power"),
        "log-Euclidean": dict(normalization="matrix_log"),
        "G2DeNet": METHODS["g2denet"],
        "B-CNN": METHODS["bcnn"],
        f"CBP {SKETCH}": {
            **METHODS["cbp"],
            "vectorization": dict(type="count_sketch", dim=SKETCH),
        },
        "svPN": METHODS["svpn"],
        "MTP": dict(normalization="taylor"),
        "MPA": dict(normalization="pade"),
    }
    built = {name: SecondOrderPool(channels, **settings) for name, settings in pools.items()}
    sketch = built[f"CBP {SKETCH}"].vectorization
    forms: list[Layer] = [
        partial(plain, num_iters=5),
        *(printed.covariance, printed.matrix_power, printed.matrix_log, printed.gaussian),
        printed.bilinear,
        printed.compact_bilinear(SKETCH, sketch.buckets, sketch.signs),
        printed.singular_value(built["svPN"].normalization[0].weight),
        *(printed.taylor, printed.pade),
    ]
    return dict(zip(built, zip(built.values(), forms, strict=True), strict=True))


def both(layer: Layer, drawn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return value and gradient of the features."""
    x = drawn[0].detach().requires_grad_()
    value = layer(x)
    (gradient,) = torch.autograd.grad(value, x, drawn[1][:, : value.shape[1]])
    return value.detach(), gradient


def forward(layer: Layer, drawn: tuple[Tensor, Tensor]) -> Tensor:
    """Return the value alone."""
    with torch.no_grad():
        return layer(drawn[0])


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest number."""
    return float((found - expected).abs().max() / expected.abs().max())


def draw(shape: tuple[int, ...], length: int) -> tuple[Tensor, Tensor]:
    """Return fresh features and a gradient of vectors of at most this length."""
    return relu(*shape), torch.randn(shape[0], length)


def measure(shape: tuple[int, ...], repetitions: int) -> dict[str, Any]:
    """Measure every member on maps of a shape (B, C, H, W)."""
    rows: dict[str, Any] = {}
    for name, (pool, form) in members(shape[1]).items():
        length = pool.out_channels
        x, grad = draw((2, *shape[1:]), length)
        exact = both(pool.double(), (x.double(), grad.double()))
        pool.float()
        row = rows[name] = {"length": length}
        found = both(pool, (x, grad))
        row["errors"] = [difference(a.double(), b) for a, b in zip(found, exact, strict=True)]
        row["errors_printed"] = [
            difference(a.double(), b) for a, b in zip(both(form, (x, grad)), exact, strict=True)
        ]
        functions = {"ours": pool, "printed": form}
        if name == "iSQRT-COV":
            # The layer itself, whatever the general way costs, and its peer from PyPI.
            functions |= {
                key: layer for key, layer in layers(5, False, []).items() if key == "pytorchcv"
            }
        for mode, run in (("forward", forward), ("forward+backward", both)):
            calls = {key: partial(run, layer) for key, layer in functions.items()}
            times = interleaved(
                calls, partial(draw, shape, length), torch.device("cpu"), repetitions, warm_up=1
            )
            row[mode] = {key: summary(samples) for key, samples in times.items()}
            row[mode]["ratio"] = {
                key: ratio(samples, times["ours"])
                for key, samples in times.items()
                if key != "ours"
            }
        x = relu(*shape).requires_grad_()
        row["saved_bytes"] = {
            key: bytes_saved_for_backward(partial(layer, x), x) for key, layer in functions.items()
        }
    return rows


def show(side: int, rows: dict[str, Any]) -> None:
    """Print one shape as a table."""
    print(f"\n{side} x {side}")
    print(f"{'':22} {'forward':>10} {'+ backward':>11} {'printed/ours':>20} {'saved':>19}  errors")
    for name, row in rows.items():
        total = row["forward+backward"]
        found = total["ratio"]["printed"]
        low, high = found["interval"]
        saved = " / ".join(f"{size / 2**20:.1f}" for size in row["saved_bytes"].values())
        errors = " / ".join(f"{error:.0e}" for error in row["errors"])
        print(
            f"{name:22} {row['forward']['ours']['median_ms']:7.1f} ms "
            f"{total['ours']['median_ms']:8.1f} ms "
            f"{found['ratio']:8.2f} ({low:.2f}-{high:.2f}) {saved:>15} MiB  {errors}"
        )
        if peer := total["ratio"].get("pytorchcv"):
            print(f"{'':22} pytorchcv/ours {peer['ratio']:.2f}")


def main() -> None:
    """Measure, print the tables and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--sides", type=int, nargs="+", default=[14, 7])
    parser.add_argument("--repetitions", type=int, default=9, help="at least 2")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    report = {
        "machine": describe(torch.device("cpu")),
        "arguments": vars(args),
        "maps": {},
    }
    for side in args.sides:
        rows = measure((args.batch, args.channels, side, side), args.repetitions)
        report["maps"][f"{side}x{side}"] = rows
        show(side, rows)
    write_report(report, args.out)


if __name__ == "__main__":
    main()
