"""Runs the project's command-line tools, each in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from gpu_parts.packed import missing_for_openmmlab
from gpu_parts.processes import Job
from gpu_parts.rows import SKIP, Rows
from gpu_parts.settings import REPO, Settings

_IMPORTED = ("gcp_mm.models", "gcp_mm.datasets", "gcp_mm.engine.runner", "mmdet.models")
_IMPORTED += ("mmdet.datasets", "mmdet.evaluation", "mmpretrain.models", "mmpretrain.datasets")


def preload() -> None:
    """Import what the tools import, before processes are forked that run them."""
    if missing_for_openmmlab():
        return
    with contextlib.suppress(ImportError):  # which the tools then tell
        for name in _IMPORTED:
            importlib.import_module(name)


def can_run(rows: Rows, what: str) -> bool:
    """Say whether OpenMMLab is there; if not, a row says what is missing."""
    missing = missing_for_openmmlab()
    if missing:
        rows.add(what, SKIP, f"no {', '.join(missing)}")
    return not missing


def _run_tool(tool: str, arguments: tuple[str, ...]) -> None:
    """Run a tool as Python does, in the checkout."""
    os.chdir(REPO)
    sys.argv = [tool, *arguments]
    runpy.run_path(tool, run_name="__main__")


def start(settings: Settings, name: str, tool: str, *arguments: Any) -> Job:
    """Start a tool; its output is in a file of its name.

    Args:
        settings: Of the check.
        name: Of the job.
        tool: As 'tools/train.py'.
        *arguments: Of its command line.
    """
    log = settings.folder / f"{name}.log"
    log.unlink(missing_ok=True)
    words = tuple(map(str, arguments))
    return Job.start(name, settings.forks, log, _run_tool, tool, words)


def losses(work_dir: Path) -> list[dict[str, float]]:
    """Return what a training logged, an entry for each iteration."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def finite(numbers: list[float]) -> bool:
    """Say whether all of some numbers are finite, and that there are some."""
    return bool(numbers) and all(map(math.isfinite, numbers))
