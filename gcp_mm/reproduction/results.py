"""What a job leaves when it is done: ``done.json`` in its folder, with the numbers of its kind."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write, sha256
from gcp_mm.landscape.bands import run_bands
from gcp_mm.landscape.records import FILENAME as RECORDS
from gcp_mm.landscape.records import read_records, read_results
from gcp_mm.plain_data import read_note
from gcp_mm.plots.training_curves import read_curves
from gcp_mm.reproduction.configs import resolve, start_files
from gcp_mm.reproduction.jobs import Job
from gcp_mm.robustness.evaluation.result import read_result
from gcp_mm.version import __version__

DONE, STARTED = "done.json", "job.json"


def read_done(work: Path, job: Job) -> dict[str, Any] | None:
    """Return what a finished job left, None if it is not; one of another plan is refused."""
    done, started = (_note(work / job.name / name) for name in (DONE, STARTED))
    # What a training left that was interrupted would go on with other settings.
    for found in (done, started):
        if found and found.get("digest") != job.digest:
            raise UserError(
                f"{str(work / job.name)!r} holds a run that was made with other settings, bases or "
                "data than this plan has (also gpus_per_run), or by another version of this "
                "package. It is kept: choose another --work-dir, or delete the folder"
            )
    return done or None


def _note(path: Path) -> dict[str, Any]:
    """Read what we noted; empty if there is nothing, or what was cut."""
    try:
        path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(
            f"{str(path)!r} cannot be read ({error.strerror}), so that nobody knows which run is "
            "there: mend that, or choose another --work-dir"
        ) from error
    return read_note(path)


def check_starts(work: Path, jobs: Sequence[Job], data: Path) -> None:
    """Refuse files to start from that are others than those that runs have started from.

    Finished ones count too, else arms would be no pairs.
    """
    for job in jobs:
        before = _noted_starts(work, job)
        for name, digest in _starts(job, data).items() if before else ():
            if before.get(name, digest) != digest:
                file = resolve(name, work, data)
                raise UserError(
                    f"{str(work / job.name)!r} holds a run that started from another {file!r} "
                    f"(sha256 {before[name][:8]}..., now {digest[:8]}...). It is kept: choose "
                    "another --work-dir, or delete the folder"
                )


def _noted_starts(work: Path, job: Job) -> dict[str, str]:
    """Return the digests of the files that a run has started from, by their names."""
    before = _note(work / job.name / STARTED).get("weights") or {}
    # Earlier versions noted that of load_from alone.
    names = start_files(job.config)[:1]
    return dict.fromkeys(names, before) if isinstance(before, str) else before


def _starts(job: Job, data: Path) -> dict[str, str]:
    """Return the digests of the files that a run starts from, as far as they are there."""
    names = {
        name: Path(resolve(name, Path(), data)).expanduser() for name in start_files(job.config)
    }
    return {
        name: _digest(path, path.stat().st_size, path.stat().st_mtime_ns)
        for name, path in names.items()
        if path.is_file()
    }


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    """Return the digest of a file that has this size and was changed at this time."""
    return sha256(path)


def write_started(work: Path, job: Job, data: Path) -> None:
    """Note which job a folder is of, and the files that it starts from."""
    starts = {**_noted_starts(work, job), **_starts(job, data)}
    content = {"digest": job.digest, "name": job.name, "weights": starts}
    atomic_write(work / job.name / STARTED, json.dumps(content, indent=1) + "\n", "note")


def write_done(work: Path, job: Job, seconds: float) -> dict[str, Any]:
    """Read the numbers of a job whose commands have ended, and write them into its folder."""
    import torch

    folder = work / job.name
    numbers = _READERS.get(job.kind, lambda _: {})(folder)
    if job.kind == "train" and numbers["epochs"] != list(range(1, job.about["epochs"] + 1)):
        raise UserError(
            f"{str(folder)!r} has an accuracy of the epochs {numbers['epochs']}, not of each of "
            f"{job.about['epochs']}: the config has to validate after every epoch"
        )
    content = {
        "digest": job.digest,
        "name": job.name,
        "kind": job.kind,
        "about": dict(job.about),
        "seconds": round(seconds, 1),
        "versions": {"gcp_mm": __version__, "torch": torch.__version__},
        "numbers": numbers,
    }
    atomic_write(folder / DONE, json.dumps(content, indent=1, allow_nan=False) + "\n", "results")
    return content


def headline(done: Mapping[str, Any]) -> str:
    """Return the number that a finished job is shown with."""
    numbers = done["numbers"]
    if done["kind"] == "train":
        return f"top-1 {numbers['top1'][-1]:.2f} %"
    if done["kind"] == "corruptions":
        return f"mean error {numbers['error']:.2f} %, clean {numbers['clean_error']:.2f} %"
    shown = {
        "sharpness": ("loss rises by {:.4g}", "rise"),
        "curvature": ("largest eigenvalue {:.4g}", "top_eigenvalue"),
        "perturbations": ("flip probability {:.2f} %", "flip_probability"),
        "detector": ("box AP {:.1f} %", "box_AP"),
    }
    form, key = shown.get(done["kind"], ("done", ""))
    if key and numbers.get(key) is None:
        return f"no finite {key}"
    return form.format(numbers.get(key))


def _train(folder: Path) -> dict[str, Any]:
    curves = read_curves(folder)
    if "accuracy/top1" not in curves.metrics:
        raise UserError(
            f"{str(folder)!r} logged no accuracy/top1: val_evaluator has to be an Accuracy whose "
            "topk has a 1"
        )
    numbers = {
        "epochs": curves.epochs,
        "top1": curves.metrics["accuracy/top1"],
        "train_loss": _finite(np.array(curves.train_loss)),
    }
    if (folder / RECORDS).is_file():
        header, records = read_records(folder / RECORDS)
        bands = run_bands(folder.parent.name, header["settings"], records)
        columns = {
            "step": bands.loss.steps,
            "loss": bands.scalars["loss"],
            "loss_width": bands.loss.width,
            "gradient_width": bands.gradient.width,
            "beta": bands.scalars["beta_max"],
        }
        numbers["probes"] = {name: _finite(values) for name, values in columns.items()}
    return numbers


def _finite(values: np.ndarray) -> list[float | None]:
    """Return a list as JSON can have it."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _sharpness(folder: Path) -> dict[str, Any]:
    _, results = read_results(folder / "result.json", "surface")
    (losses,) = np.array(results["losses"], dtype=float).T
    rise = float(np.mean(losses[[0, -1]]) - results["loss"])
    return {"rise": rise if np.isfinite(rise) else None, "loss": results["loss"]}


def _curvature(folder: Path) -> dict[str, Any]:
    _, results = read_results(folder / "result.json", "curvature")
    return {
        "top_eigenvalue": max(results["eigenvalues"]),
        "trace": results["trace"],
        "trace_standard_error": results["trace_standard_error"],
    }


def _corruptions(folder: Path) -> dict[str, Any]:
    content = read_result(folder / "result.json")
    errors: dict[str, list[float]] = {}
    for cell, counts in content["cells"].items():
        if "/" in cell:
            error = 100 * (1 - counts["correct"] / counts["total"])
            errors.setdefault(cell.partition("/")[0], []).append(error)
    by_name = {name: statistics.fmean(values) for name, values in errors.items()}
    return {
        "error": statistics.fmean(by_name.values()),
        "errors": by_name,
        "clean_error": 100 * content["metrics"]["clean_error"],
    }


def _perturbations(folder: Path) -> dict[str, Any]:
    metrics = read_result(folder / "result.json")["metrics"]
    flips = {name: 100 * value for name, value in metrics["flip_probability"].items()}
    distances = metrics["top5_distance"]
    return {
        "flip_probability": statistics.fmean(flips.values()),
        "top5_distance": statistics.fmean(distances.values()),
        "flips": flips,
        "distances": distances,
    }


def _detector(folder: Path) -> dict[str, Any]:
    files = sorted((folder / "test").glob("*/*.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise UserError(f"{str(folder / 'test')!r} has no metrics of an evaluation")
    metrics = json.loads(files[-1].read_text(encoding="utf-8").splitlines()[-1])
    named: Sequence[tuple[str, str]] = (
        ("box_AP", "coco/bbox_mAP"),
        ("box_AP50", "coco/bbox_mAP_50"),
        ("mask_AP", "coco/segm_mAP"),
        ("mask_AP50", "coco/segm_mAP_50"),
    )
    found = {name: 100 * metrics[key] for name, key in named if key in metrics}
    if not found:
        raise UserError(f"{str(files[-1])!r} has no measure of COCO")
    return found


_READERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "train": _train,
    "sharpness": _sharpness,
    "curvature": _curvature,
    "corruptions": _corruptions,
    "perturbations": _perturbations,
    "detector": _detector,
}
