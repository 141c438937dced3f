"""Time every member of the second-order family against its form as printed, in one process.

Both take turns on the same fresh post-ReLU features. They have to agree first, in value and in
gradient, in float64, on maps of the shape that is timed and on some with more positions than
channels; a gradient of the printed form that is no number, because eigenvalues are equal, is left
out. Errors are those against the printed form in float64. Of autograd's memory each block is
counted once. Only ratios mean something: the machine is whatever it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import plain_family as printed
import torch
from allocated_memory import bytes_saved_for_backward
from features import relu
from machine import describe, measuring_parser, write_report
from peers import layers, plain
from timing import interleaved, ratio, summary
from torch import Tensor

from gcp_mm.ops import METHODS, SecondOrderPool

SKETCH = 8192
AGREE = 1e-9, 1e-6
"""Largest difference of value and gradient in float64, relative to the largest number."""

CLAMPED = {"MPN-COV": (1e-5, 1e-5), "G2DeNet": (1e-5, 1e-5)}
"""The same where eigenvalues are zero: the printed form clamps them, and has a root of 1e-6."""

CANCELLED = 2e-5, 1e-6
"""The same for a sketch: an entry of zero comes out of a Fourier transform with either sign."""

Layer, Drawn = Callable[[Tensor], Tensor], tuple[Tensor, Tensor]


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


def both(layer: Layer, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Return value and gradient of the features."""
    x = drawn[0].detach().requires_grad_()
    value = layer(x)
    (gradient,) = torch.autograd.grad(value, x, drawn[1][:, : value.shape[1]])
    return value.detach(), gradient


def forward(layer: Layer, drawn: Drawn) -> Tensor:
    """Return the value alone."""
    with torch.no_grad():
        return layer(drawn[0])


def difference(found: Tensor, expected: Tensor) -> float | None:
    """Return the largest difference over the largest number; None if that is no number."""
    relative = float((found - expected).abs().max() / expected.abs().max())
    return relative if math.isfinite(relative) else None


def exact(name: str, pool: SecondOrderPool, form: Layer, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Return value and gradient of the printed form in float64, with which ours have to agree.

    Where its gradient is no number, ours is returned in its place.
    """
    x, grad = (tensor.double() for tensor in drawn)
    found, (value, gradient) = both(deepcopy(pool).double(), (x, grad)), both(form, (x, grad))
    if not gradient.isfinite().all():
        gradient = found[1]
    bounds = CANCELLED if name.startswith("CBP") else AGREE
    if x.shape[1] >= x[0, 0].numel():
        bounds = CLAMPED.get(name, bounds)
    errors = [difference(a, b) for a, b in zip(found, (value, gradient), strict=True)]
    if any(e is None or e > most for e, most in zip(errors, bounds, strict=True)):
        raise SystemExit(
            f"{name}, {tuple(x.shape)}: value and gradient differ by {errors} in float64 from "
            f"those as printed, at most {bounds} is allowed, so there is no result"
        )
    return value, gradient


def draw(shape: tuple[int, ...], length: int) -> tuple[Tensor, Tensor]:
    """Return fresh features and a gradient of vectors of at most this length."""
    return relu(*shape), torch.randn(shape[0], length)


def measure(shape: tuple[int, ...], repetitions: int) -> dict[str, Any]:
    """Measure every member on maps of a shape (B, C, H, W)."""
    rows: dict[str, Any] = {}
    for name, (pool, form) in members(shape[1]).items():
        length = pool.out_channels
        more = math.isqrt(shape[1]) + 1
        exact(name, pool, form, draw((2, shape[1], more, more), length))
        drawn = draw((2, *shape[1:]), length)
        expected = exact(name, pool, form, drawn)
        row = rows[name] = {"length": length}
        for key, layer in (("errors", pool), ("errors_printed", form)):
            pairs = zip(both(layer, drawn), expected, strict=True)
            row[key] = [difference(a.double(), b) for a, b in pairs]
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
        errors = " / ".join("nan" if e is None else f"{e:.0e}" for e in row["errors"])
        print(
            f"{name:22} {row['forward']['ours']['median_ms']:7.1f} ms "
            f"{total['ours']['median_ms']:8.1f} ms "
            f"{found['ratio']:8.2f} ({low:.2f}-{high:.2f}) {saved:>15} MiB  {errors}"
        )
        if peer := total["ratio"].get("pytorchcv"):
            print(f"{'':22} pytorchcv/ours {peer['ratio']:.2f}")


def main() -> None:
    """Measure, print the tables and write the JSON file."""
    args = measuring_parser(__doc__, batch=4, repetitions=9).parse_args()
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
