"""Kill each command that continues at a change of its files, start it again, compare the results.

The result has to be that of a run that nobody killed: weights, momenta and schedules bit for bit,
the best checkpoint, numbers, files of a tree byte for byte, and nothing half-written beside them.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from file_events import FileEvents
from forked import Ended, command, run_forked
from inputs import SIZE, Inputs
from outcome import Outcome
from results import digests, first_difference, measurement, without_times


class Job(NamedTuple):
    """A command and what it leaves.

    Attributes:
        arguments: Of ``gcp-mm``, for the first time; they write below the given folder.
        again: What is added to go on.
        result: The parts of the result by name, each comparable; None if there is none.
    """

    arguments: Callable[[Inputs, Path], list]
    again: tuple[str, ...]
    result: Callable[[Path], dict]


def _training(folder: Path) -> dict:
    import torch

    found = {"files": sorted(path.name for path in folder.glob("work/*.pth"))}
    for path in folder.glob("work/*.pth"):
        content = torch.load(path, map_location="cpu", weights_only=False)
        parts = ("state_dict", "optimizer", "param_schedulers")
        if path.name.startswith("best_"):
            # mmengine writes the best weights without the rest or with it.
            parts = ("state_dict",)
        for part in parts:
            found[f"{path.name}:{part}"] = digests(content.get(part))
    for path in folder.glob("work/*.jsonl"):
        found[path.name] = [without_times(json.loads(line)) for line in path.open()]
    return found


def _files(folder: Path) -> dict:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def _robustness(dataset: str) -> Job:
    def arguments(inputs: Inputs, folder: Path) -> list:
        names = ("fog", "snow") if dataset == "imagenet-c" else ("shot_noise", "tilt", "zoom_blur")
        part = ["--severities", 1, 2] if dataset == "imagenet-c" else []
        return [
            *("robustness", "run", inputs.config, inputs.checkpoint, "--dataset", dataset),
            *("--data-root", inputs.tree(dataset), "--corruptions", *names, *part),
            *("--input-size", SIZE, "--batch-size", 4, "--workers", 0, "--device", "cpu"),
            *("--out", folder / "out.json"),
        ]

    return Job(arguments, (), measurement)


def _corrupt(dataset: str, option: str, *names: str) -> Job:
    def arguments(inputs: Inputs, folder: Path) -> list:
        return [
            *("corrupt", inputs.images / "val", folder / "tree", "--dataset", dataset),
            *(option, *names, "--limit", 1, "--size", SIZE, "--workers", 1),
            *(("--severities", "1", "5") if dataset == "imagenet-c" else ()),
        ]

    return Job(arguments, (), _files)


JOBS = {
    "train": Job(
        lambda inputs, folder: [
            *("train", inputs.config, "--work-dir", folder / "work", "--cfg-options"),
            "default_hooks.checkpoint.save_best=auto",
        ],
        ("--resume",),
        _training,
    ),
    "landscape run": Job(
        lambda inputs, folder: [
            *("landscape", "run", inputs.probed, "--work-dir", folder / "work"),
        ],
        ("--resume",),
        _training,
    ),
    "landscape probe": Job(
        lambda inputs, folder: [
            *("landscape", "probe", inputs.config, inputs.checkpoint, "--etas", 0.1, 0.3, 3),
            *("--batch-size", 4, "--batches", 2, "--out", folder / "probe.jsonl"),
            *("--work-dir", folder / "work"),
        ],
        (),
        lambda folder: {"records": measurement(folder).get("probe.jsonl")},
    ),
    "robustness C": _robustness("imagenet-c"),
    "robustness P": _robustness("imagenet-p"),
    "corrupt C": _corrupt("imagenet-c", "--corruptions", "fog", "gaussian_noise"),
    "corrupt P": _corrupt("imagenet-p", "--perturbations", "tilt", "gaussian_noise"),
}


def leftovers(folder: Path) -> list[str]:
    """Name the half-written files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if ".part" in path.name)


def arguments_of(job: Job, inputs: Inputs, folder: Path, again: bool) -> list:
    """Return the command line of a job, for the first time or again."""
    arguments = job.arguments(inputs, folder)
    if again and job.again:
        # Behind an option of several values it would be one of them.
        config = inputs.probed if inputs.probed in arguments else inputs.config
        at = arguments.index(config) + 1
        arguments[at:at] = job.again
    return arguments


def run_job(
    job: Job, inputs: Inputs, folder: Path, again: bool, kill_at: int = 0
) -> tuple[Ended, int]:
    """Run a job below a folder; return how it ended and how many changes it announced."""
    folder.mkdir(parents=True, exist_ok=True)
    events = FileEvents(folder, kill_at)
    arguments = arguments_of(job, inputs, folder, again)
    return run_forked(events.watching(command(*arguments))), events.count


def run(inputs: Inputs, seconds: float, seed: int) -> int:
    """Kill every job at as many of its changes as there is time for.

    Args:
        inputs: See :func:`inputs.make_inputs`.
        seconds: Time to spend, shared evenly over the jobs.
        seed: Chooses the changes.

    Returns:
        Exit status.
    """
    status = 0
    begin, share = time.monotonic(), seconds / len(JOBS)
    for index, (name, job) in enumerate(JOBS.items()):
        outcome = Outcome(f"kills: {name}")
        folder = inputs.folder / "kills" / name.replace(" ", "_")
        ended, number = run_job(job, inputs, folder / "straight", again=False)
        expected = job.result(folder / "straight")
        if ended.code != 0 or not expected:
            outcome.failed("nobody killed it", ended.last_line)
            status |= outcome.report()
            continue
        rest = list(range(1, number + 1))
        random.Random(f"{seed} {name}").shuffle(rest)
        for kill_at in rest:
            if time.monotonic() > begin + (index + 1) * share:
                break
            case = f"change {kill_at} of {number}"
            here = folder / f"killed_{kill_at}"
            killed, _ = run_job(job, inputs, here, again=False, kill_at=kill_at)
            ended, _ = run_job(job, inputs, here, again=True)
            difference = first_difference(expected, job.result(here))
            half = leftovers(here)
            if killed.code != -9:
                outcome.failed(case, f"was not killed: {killed.last_line}")
            elif ended.code != 0 or ended.crashed:
                outcome.failed(case, f"does not go on: {ended.last_line}")
            elif difference or half:
                outcome.failed(case, difference or f"left {', '.join(half)}")
            else:
                outcome.held()
                shutil.rmtree(here)
        status |= outcome.report()
    return status
