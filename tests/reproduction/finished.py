"""What finished jobs of the tiny plan would have left, with numbers that a test chooses."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gcp_mm.reproduction.jobs import Job


def entry(kind: str, arm: str, seed: int = 0, **given: Any) -> dict[str, Any]:
    """Return what a job left: its numbers, and what it is about where that is not the usual."""
    names = ("schedule", "epochs", "epoch", "detector", "direction")
    about = {key: given.pop(key) for key in names if key in given}
    numbers = given.pop("numbers")
    about = {"group": "tiny", "arm": arm, "schedule": "lrfast", "seed": seed, "epochs": 2, **about}
    return {"kind": kind, "about": about, "numbers": numbers, "seconds": 1.5, "name": kind, **given}


def train(arm: str, top1: Sequence[float], seed: int = 0, probes=None, **about: Any) -> dict:
    """Return a training; probes are columns."""
    numbers = {
        "epochs": list(range(1, len(top1) + 1)),
        "top1": list(top1),
        "train_loss": [1.0] * len(top1),
    }
    if probes is not None:
        numbers["probes"] = probes
    return entry("train", arm, seed, numbers=numbers, **about)


def probes(loss: Sequence, loss_width: Sequence, gradient_width=None, beta=None) -> dict:
    """Return the columns of probes."""
    return {
        "step": list(range(len(loss))),
        "loss": list(loss),
        "loss_width": list(loss_width),
        "gradient_width": list(gradient_width or loss_width),
        "beta": list(beta or loss_width),
    }


def corruptions(arm: str, clean: float, error: float, seed: int = 0, epoch: int = 2) -> dict:
    """Return errors under a corruption."""
    numbers = {"error": error, "errors": {"contrast": error}, "clean_error": clean}
    return entry("corruptions", arm, seed, epoch=epoch, numbers=numbers)


def numbers_of(job: Job, value: float) -> dict[str, Any]:
    """Return numbers of the kind of a job."""
    if job.kind == "train":
        epochs = job.about["epochs"]
        found: dict[str, Any] = {
            "epochs": list(range(1, epochs + 1)),
            "top1": [value * epoch for epoch in range(1, epochs + 1)],
            "train_loss": [1.0] * epochs,
        }
        if "LandscapeHook" in job.config:
            found["probes"] = probes([3.0, 2.0, 1.0], [value, value, value])
        return found
    return {
        "corruptions": {
            "error": value + 10 / job.about.get("epoch", 1),
            "errors": {"contrast": value},
            "clean_error": value / 2 + 10 / job.about.get("epoch", 1),
        },
        "perturbations": {
            **{"flip_probability": value, "top5_distance": value},
            **{"flips": {"translate": value}, "distances": {"translate": value}},
        },
        "sharpness": {"rise": value, "loss": 1.0},
        "curvature": {"top_eigenvalue": value, "trace": value, "trace_standard_error": 0.1},
        "detector": dict.fromkeys(("box_AP", "mask_AP", "box_AP50", "mask_AP50"), value),
    }.get(job.kind, {})


def finish(work: Path, jobs: Sequence[Job], value=lambda job: 1.0) -> Iterator[Path]:
    """Write what the jobs would leave; a job whose value is None is not finished."""
    for job in jobs:
        number = value(job)
        if number is None:
            continue
        path = work / job.name / "done.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            **{"digest": job.digest, "name": job.name, "kind": job.kind, "about": dict(job.about)},
            **{"seconds": 2.0, "versions": {}, "numbers": numbers_of(job, number)},
        }
        path.write_text(json.dumps(content))
        yield path
