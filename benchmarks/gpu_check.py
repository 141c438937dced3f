"""See on a GPU, in at most five minutes, that the layer is right, fast, and trains networks.

Six parts, a row for each thing that was looked at, and a JSON file; a FAIL stops nothing. It needs
no installation but the checkout, PyTorch, torchvision and Triton, and of OpenMMLab what `make
gpu-bundle` packed or what is installed. ``--device cpu --quick`` runs the same on a CPU, as small
as it can be, to see that it runs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_parts.packed import BUNDLE, packed_commit, use_wheels
from gpu_parts.processes import Job, last_lines
from gpu_parts.rows import FAIL, PASS, Reader, Row, Rows, report
from gpu_parts.settings import REPO, Settings
from gpu_parts.tools import preload

PARTS = {
    "machine": (15, "gpu_parts.machine_rows"),
    "operators": (60, "gpu_parts.operator_tests"),
    "layer": (120, "gpu_parts.layer_times"),
    "step": (25, "gpu_parts.step_times"),
    "openmmlab": (50, "gpu_parts.openmmlab"),
    "agreement": (30, "gpu_parts.agreement"),
}
"""Share of the time, of all parts 300, and module. What a part leaves, those after it share."""


def run_part(name: str, settings: Settings, end: float) -> None:
    """Run a part in this process, until a time by the clock that all processes share."""
    if settings.quick:
        torch.set_num_threads(1)  # on small tensors, waiting for another one takes longer
    module = importlib.import_module(PARTS[name][1])
    module.run(settings, Rows(settings.rows, name), end)


def commit(bundle: Path) -> str | None:
    """Return the commit of the checkout, or the one that the bundle was packed from."""
    words = ["git", "-C", str(REPO), "describe", "--always", "--dirty"]
    words += ["--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        found = ""
    return found or packed_commit(bundle)


def check(
    settings: Settings,
    parts: list[str],
    seconds: float,
    save: Callable[[list[Row]], Any] = lambda rows: None,
) -> list[Row]:
    """Run the parts one after another, each in a process of its own, and print the rows.

    They are saved after each part, in case that this process is stopped; one that is FAIL has the
    end of its part's log with it. Where there is no GPU to check, nothing follows.
    """
    reader, found = Reader(settings.rows), []

    def show() -> None:
        for row in reader.new():
            if row.status == FAIL:
                row.data.setdefault("log", last_lines(settings.folder / f"{row.part}.log"))
            found.append(row)
            print(row, flush=True)

    end = time.monotonic() + seconds
    for number, part in enumerate(parts):
        now = time.monotonic()
        if now >= end:
            Rows(settings.rows, part).add("time", FAIL, f"none is left of {seconds:.0f} s")
            show()
            continue
        most = (end - now) * PARTS[part][0] / sum(PARTS[later][0] for later in parts[number:])
        log = settings.folder / f"{part}.log"
        # It ends what it has started before it is stopped itself.
        arguments = (part, settings, now + most - min(4, most / 10))
        job = Job.start(part, settings.forks, log, run_part, *arguments)
        failure = job.wait(now + most, show)
        if failure:
            Rows(settings.rows, part).add("whole part", FAIL, failure)
        show()
        save(found)
        if settings.device == "cuda" and part == "machine" and not machine_of(found):
            break
    return found


def machine_of(rows: list[Row]) -> dict[str, Any]:
    """Return what the first part found out about the machine."""
    found = (row.data for row in rows if row.part == "machine" and row.status == PASS)
    return next(filter(None, found), {})


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="everything as small as it can be")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--seconds", type=float, help="for all of it (default: 300, or 3000)")
    parser.add_argument("--peer", action="append", default=[], help="module:callable, a layer")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help=f"default: {BUNDLE.name}")
    parser.add_argument("--folder", type=Path, help="for logs and images (default: a new one)")
    parser.add_argument("--out", type=Path, help="JSON file (default: in benchmarks/results/gpu)")
    return parser.parse_args()


def main() -> None:
    """Run the parts, print the table and write the JSON file; exit code 1 if a row is FAIL."""
    args = arguments()
    start, stamp = time.monotonic(), time.strftime("%Y%m%d_%H%M%S")
    folder = args.folder or Path(tempfile.mkdtemp(prefix="gpu_check_"))
    folder.mkdir(parents=True, exist_ok=True)
    folder, bundle = folder.resolve(), args.bundle.resolve()
    # Without the first part nobody knows what the numbers are of.
    parts = list(dict.fromkeys(["machine", *args.parts]))
    # Beside what the processes of the parts look up: this script's own modules.
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    use_wheels(bundle, folder)
    rows = folder / "rows.jsonl"
    rows.unlink(missing_ok=True)
    settings = Settings(args.device, args.quick, folder, rows, bundle, tuple(args.peer))
    known = commit(bundle)
    if settings.forks and {"openmmlab", "agreement"} & set(parts):
        preload()

    def save(found: list[Row]) -> Path:
        machine = {"commit": known, **machine_of(found)}
        spent = round(time.monotonic() - start, 1)
        content = report(found, machine, vars(args)) | {"seconds": spent}
        device = re.sub(r"\W+", "_", str(machine.get("device", args.device))).strip("_").lower()
        name = f"{device}_{stamp}{'_quick' * args.quick}.json"
        out = args.out or REPO / "benchmarks/results/gpu" / name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(content, indent=2, default=str) + "\n")
        return out

    seconds = (args.seconds or settings.size(300, 3000)) - (time.monotonic() - start)
    found = check(settings, parts, seconds, save)
    statuses = Counter(row.status for row in found)
    numbers = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    print(f"{numbers} in {time.monotonic() - start:.0f} s, written to {save(found)}")
    if statuses[FAIL]:
        print(f"the logs are in {folder}")
    elif args.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if statuses[FAIL] else 0)


if __name__ == "__main__":
    main()
