"""Compile every Triton kernel of the layer, and print its registers, spills and shared memory.

No GPU is needed: Triton brings NVIDIA's assembler, and `cuobjdump` to read what that has made.
Spills are bytes of local memory of a thread. One line is one compiled kernel; which versions of a
kernel there are depends on what Triton knows of its arguments.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from absent_gpu import SHARED_MEMORY, AbsentGPU, absent_gpu
from machine import describe, write_report

from gcp_mm.ops import global_covariance_pool

USAGE = re.compile(r"REG:(\d+) STACK:(\d+) .*LOCAL:(\d+)")


class Assembled(AbsentGPU):
    """An absent GPU that reads the kernels which are loaded into it."""

    def __init__(self, capability: int) -> None:
        super().__init__(capability)
        self.rows: list[dict[str, Any]] = []

    def load_binary(self, name: str, *args: Any) -> tuple[Any, Any, int, int, int]:
        """Note what a kernel needs."""
        binary, shared = args[:2]
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            Path(file.name).write_bytes(binary)
            command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name]
            usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = USAGE.search(usage)
        if not found:
            raise SystemExit(f"cuobjdump says nothing of {name}: {usage}")
        registers, stack, local = map(int, found.groups())
        row = dict(kernel=name, registers=registers, spills=stack + local, shared=shared)
        self.rows.append(row)
        return super().load_binary(name, *args)


def compile_all(gpu: Assembled, side: int, channels: int) -> list[dict[str, Any]]:
    """Run both implementations forward and backward, on the kernels that this takes."""
    rows = []
    for impl in ("gram", "gram_fused"):
        x = torch.rand(1, channels, side, side).half().requires_grad_()
        for direction in ("forward", "backward"):
            gpu.rows.clear()
            if direction == "forward":
                vector = global_covariance_pool(x, impl=impl)
            else:
                torch.autograd.grad(vector, x, torch.rand_like(vector))
            rows += [dict(impl=impl, side=side, direction=direction) | row for row in gpu.rows]
    return rows


def main() -> None:
    """Compile, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capabilities", type=int, nargs="+", default=list(SHARED_MEMORY))
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--sides", type=int, nargs="+", default=[14, 7])
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe(torch.device("cpu")) | {"triton": triton.__version__}
    report: dict[str, Any] = {"machine": machine, "arguments": vars(args), "kernels": {}}
    for capability in args.capabilities:
        print(f"sm_{capability:<25} {'':19} registers  spills  shared KiB")
        gpu = Assembled(capability)
        with tempfile.TemporaryDirectory() as cache, absent_gpu(gpu, Path(cache)):
            rows = [row for side in args.sides for row in compile_all(gpu, side, args.channels)]
        report["kernels"][f"sm_{capability}"] = rows
        for row in rows:
            where = f"{row['direction']}, {row['side']} x {row['side']}"
            print(
                f"{row['kernel']:30} {where:18} {row['registers']:9} {row['spills']:7} "
                f"{row['shared'] / 1024:11.1f}"
            )
    write_report(report, args.out)


if __name__ == "__main__":
    main()
