"""Time the pooling layer against its peers, in one process.

All take turns on the same fresh post-ReLU features. Their errors are measured in the same run,
against an eigendecomposition of the same polynomial in float64, on ordinary and on hard inputs; one
whose error on ordinary features is above the bound gets no time. ``floor`` is the time that the
layer's own matrix products take at the rate of a large product, measured in the same run; of
symmetric products ``gram`` has to compute one half. Only ratios mean something: the machine is
whatever it is.
"""

from __future__ import annotations

from typing import Any

import torch
from machine import describe, measuring_parser, write_report
from setting import DTYPES, LAYOUTS, Setting


def show(side: int, result: dict[str, Any]) -> None:
    """Print one shape as a table."""
    print(f"{side} x {side}, large product {result['matmul_gflops']:.0f} GFLOP/s")
    titles = f"{'forward':>10} {'+ backward':>11} {'gram is':>8} {'floor':>6} {'saved':>10}  errors"
    print(f"{'':24} {titles}")
    for name, row in result["layers"].items():
        errors = row["errors"]["relu"]
        text = errors if isinstance(errors, str) else " / ".join(f"{e:.1e}" for e in errors)
        if "forward" not in row:
            print(f"{name:24} no time, error above the bound: {text}")
            continue
        total = row["forward+backward"]
        floor = f"{row['share_of_floor']:6.0%}" if "share_of_floor" in row else " " * 6
        saved = f"{row['saved_bytes'] / 2**20:6.1f} MiB" if "saved_bytes" in row else " " * 10
        print(
            f"{name:24} {row['forward']['median_ms']:7.1f} ms {total['median_ms']:8.1f} ms "
            f"{total['gram_is_faster']['ratio']:6.2f} x {floor} {saved}  {text}"
        )


def main() -> None:
    """Measure, print the tables and write the JSON file."""
    parser = measuring_parser(__doc__, batch=32, repetitions=15)
    parser.add_argument("--num-iters", type=int, default=5)
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="half: under autocast")
    parser.add_argument("--layout", choices=LAYOUTS, default="contiguous")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--peer", action="append", default=[], help="module:callable, a layer")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    # The compiled layers share one function, and each shape and mode is a version of its own.
    torch._dynamo.config.recompile_limit = 64
    report = {"machine": describe(torch.device(args.device)), "arguments": vars(args), "maps": {}}
    for side in args.sides:
        torch.compiler.reset()
        report["maps"][f"{side}x{side}"] = result = Setting(args, side).measure()
        show(side, result)
    write_report(report, args.out)


if __name__ == "__main__":
    main()
