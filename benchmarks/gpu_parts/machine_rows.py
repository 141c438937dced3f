"""Part 1: what the check runs on."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess

import torch
from machine import describe

from gpu_parts.packed import missing_for_openmmlab
from gpu_parts.rows import FAIL, PASS, SKIP, Rows
from gpu_parts.settings import Settings

PACKAGES = ("torch", "torchvision", "triton", "numpy", "mmengine", "mmcv-lite", "mmdet")
PACKAGES += ("mmpretrain", "pycocotools", "opencv-python-headless", "scipy")


def _driver() -> str | None:
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip().splitlines()[0] if found.stdout.strip() else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def run(settings: Settings, rows: Rows, end: float) -> None:
    """Write what there is, and whether OpenMMLab can run."""
    device = settings.torch_device
    if device.type == "cuda" and not torch.cuda.is_available():
        rows.add("GPU", FAIL, "PyTorch sees none")
        return
    found = describe(device) | {
        "driver": _driver() if device.type == "cuda" else None,
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "l2_bytes": properties.L2_cache_size,
            "capability": f"{properties.major}.{properties.minor}",
        }
    versions = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    rows.add("device", PASS, f"{found['device']}, driver {found['driver']}; {versions}", **found)
    missing = missing_for_openmmlab()
    if missing:
        rows.add("OpenMMLab", SKIP, f"no {', '.join(missing)}: see benchmarks/gpu_bundle.py")
