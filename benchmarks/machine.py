"""What a report says about where it was measured, and its file."""

from __future__ import annotations

import json
import os
import platform
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import torch

from gcp_mm.version import __version__


def describe(device: torch.device) -> dict[str, Any]:
    """Return the processor or GPU, the threads, and the versions that a time depends on."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        info = Path("/proc/cpuinfo")
        lines = info.read_text().splitlines() if info.exists() else []
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else platform.processor()
    return {
        "device": name,
        "platform": platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "gcp_mm": __version__,
    }


def measuring_parser(doc: str | None, batch: int, repetitions: int) -> ArgumentParser:
    """Return a parser of what every measurement of layers on maps is told, with these defaults."""
    parser = ArgumentParser(description=doc)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--sides", type=int, nargs="+", default=[14, 7])
    parser.add_argument("--repetitions", type=int, default=repetitions, help="at least 2")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    return parser


def write_report(report: dict[str, Any], out: Path | None) -> None:
    """Write a report as JSON.

    Args:
        report: Plain data and paths.
        out: The file; None writes nothing.
    """
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=2, default=str) + "\n")
        print(f"written to {out}")


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Return the floating-point operations in a second of a large matrix product, the best of 10.

    Args:
        device: Where it runs.
        dtype: Of the matrices.
        size: Their rows; 8192 on a GPU.
    """
    from timing import seconds_of

    if device.type == "cuda":
        size = 8192
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = min(seconds_of(lambda: a @ b, device) for _ in range(10))
    return 2 * size**3 / best
