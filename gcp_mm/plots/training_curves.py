"""The curves of training runs, read from mmengine's scalar logs, as numbers and as a figure."""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.first_process import warn
from gcp_mm.plots.figure import as_text, new_figure, save_figure

_NO_METRICS = ("step", "time", "data_time", "images_per_second")


@dataclass(frozen=True)
class TrainingCurves:
    """What a run logged.

    Attributes:
        name: Name of the work folder.
        epochs: Validated epochs, from 1.
        metrics: By name, such as ``accuracy/top1`` in percent: the value after each epoch, NaN
            where there is none, as of a detector that has found nothing yet.
        train_loss: Mean of the logged training losses of each of these epochs.
        lr: Learning rate at the last logged step of each of these epochs.
    """

    name: str
    epochs: list[int]
    metrics: dict[str, list[float]]
    train_loss: list[float]
    lr: list[float]


def read_runs(work_dirs: Sequence[Path]) -> list[TrainingCurves]:
    """Read work folders to compare; their names have as many folders in them as tell them apart."""
    folders = [path.resolve() for path in work_dirs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UserError(f"{str(folder)!r} is there twice: name each run once")
    for length in itertools.count(1):
        names = ["/".join(folder.parts[-length:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return [
        replace(read_curves(path), name=name) for path, name in zip(work_dirs, names, strict=True)
    ]


def read_curves(work_dir: Path) -> TrainingCurves:
    """Read the scalar logs of a work folder; from where a run begins, none before it counts."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise UserError(f"{str(work_dir)!r} has no */vis_data/scalars.json: not a work folder")
    training: dict[int, dict] = {}
    validation: dict[int, dict] = {}
    for records in _in_order({file: _read_records(file) for file in files}):
        begun = next((record for record in records if "lr" in record), None)
        if begun is not None:
            training = {step: r for step, r in training.items() if step < begun["step"]}
            validation = {epoch: r for epoch, r in validation.items() if epoch < begun["epoch"]}
        for record in records:
            if "lr" in record:
                training[record["step"]] = record
            elif not any(key.startswith("landscape/") for key in record):
                validation[record["step"]] = record
    steps = defaultdict(list)
    for _, record in sorted(training.items()):
        steps[record["epoch"]].append(record)
    epochs = sorted(validation.keys() & steps.keys())
    if not epochs:
        raise UserError(f"{str(work_dir)!r}: no epoch has been validated yet")
    names = dict.fromkeys(key for epoch in epochs for key in validation[epoch])
    return TrainingCurves(
        name=work_dir.resolve().name,
        epochs=epochs,
        metrics={
            name: [validation[epoch].get(name, math.nan) for epoch in epochs]
            for name in names
            if name not in _NO_METRICS
        },
        train_loss=[float(np.mean([r["loss"] for r in steps[epoch]])) for epoch in epochs],
        lr=[steps[epoch][-1]["lr"] for epoch in epochs],
    )


def _read_records(file: Path) -> list[dict]:
    """Read a scalar log; the last line of a run that was killed may be cut."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"scalar log {str(file)!r} cannot be read: {error}") from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise UserError(f"scalar log {str(file)!r}, line {number}: {error}") from error
        form = isinstance(record, dict)
        if form and "iter" in record and "epoch" not in record:
            raise UserError(
                f"scalar log {str(file)!r}: this training counts iterations and no epochs "
                "(log_processor.by_epoch), and curves are those of epochs"
            )
        wanted = ["step", "epoch", "loss"] if form and "lr" in record else ["step"]
        if not form or not all(isinstance(record.get(key), (int, float)) for key in wanted):
            raise UserError(
                f"scalar log {str(file)!r}, line {number} has no numbers {', '.join(wanted)}, "
                "which mmengine writes: the file is another one or damaged; remove the line"
            )
        records.append(record)
    return records


def _first_step(records: list[dict]) -> float:
    """Return the first step of a training; an evaluation has none, and comes before them."""
    return min((record["step"] for record in records if "lr" in record), default=-math.inf)


def _in_order(runs: dict[Path, list[dict]]) -> list[list[dict]]:
    """Put the runs of a folder into their order: by date, unless the oldest is a resumed one."""
    first = {file: _first_step(records) for file, records in runs.items()}
    trained = {file: step for file, step in first.items() if step > -math.inf}
    if not trained or next(iter(trained.values())) == min(trained.values()):
        return list(runs.values())
    oldest = next(iter(trained)).parents[1]
    warn(
        f"{str(oldest)!r} has the oldest date and does not begin the training, as if the clock had "
        "gone back: the runs are ordered by their first steps"
    )
    return sorted(runs.values(), key=_first_step)


def plot_curves(runs: Sequence[TrainingCurves], metric: str, path: Path) -> Path:
    """Draw the training loss and a metric of several runs against epochs."""
    for run in runs:
        if metric not in run.metrics:
            raise UserError(f"run {run.name!r} logged no {metric!r}; it has {list(run.metrics)}")
    figure = new_figure(width=8, height=3.2)
    left, right = figure.subplots(1, 2)
    for run in runs:
        left.plot(run.epochs, run.train_loss, marker=".", label=as_text(run.name))
        right.plot(run.epochs, run.metrics[metric], marker=".", label=as_text(run.name))
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(xlabel="epoch", ylabel=as_text(f"validation {metric}"))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(fontsize=8)
    return save_figure(figure, path)


def say(run: TrainingCurves, metric: str) -> str:
    """Say how good a run was in the end and at its best."""
    values = run.metrics[metric]
    text = f"{run.name}: {metric} {values[-1]:.4g} after epoch {run.epochs[-1]}"
    pairs = zip(values, run.epochs, strict=True)
    known = [(value, epoch) for value, epoch in pairs if math.isfinite(value)]
    if not known:
        return text
    value, epoch = max(known, key=lambda pair: pair[0])
    return f"{text}, best {value:.4g} after epoch {epoch}"


def summarise(runs: Sequence[TrainingCurves], commands: Sequence[str]) -> dict:
    """Collect runs, the commands that made them and the machine for a result file."""
    from mmengine.utils.dl_utils import collect_env

    kept = ("sys.platform", "Python", "GPU 0", "PyTorch", "TorchVision", "MMEngine")
    environment = collect_env()
    return {
        "commands": list(commands),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "environment": {key: environment[key] for key in kept if key in environment},
        # JSON has no NaN: null stands in its place.
        "runs": json.loads(json.dumps(list(map(asdict, runs))), parse_constant=lambda _: None),
    }
