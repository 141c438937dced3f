"""The measures of each claim, a number for every arm and seed, from what the runs left.

What each measure is stands in `MEASURES`. Two need what the arms have in common: the bands of the
loss at equal loss are means over the losses that all arms of a seed pass through, in equal parts of
that range; the error under corruptions at equal clean error is interpolated between the measured
epochs, at the smallest clean error that all arms of a seed reach.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gcp_mm.reproduction.statistics import first_epoch_at, value_at

LOSS_PARTS = 8
"""Parts of the common range of losses."""

LEAST_KEPT = 0.95
"""Share of the steps at which all arms have to have finite probes."""


@dataclass(frozen=True)
class Measure:
    """What is compared: its name in plans, its title on pages, and what it is.

    The sign is 1 if the claim is that GCP has the larger value, -1 if the smaller.
    """

    claim: str
    name: str
    title: str
    unit: str
    sign: int
    text: str


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("convergence", "top1", "accuracy", "%", 1, "Top-1 accuracy after the last epoch."),
        Measure(
            "convergence",
            "epochs_to_reference",
            "epochs to the control's accuracy",
            "",
            -1,
            "When the accuracy, a line between validations, first is the last one of the first "
            "control of the same seed and schedule; one more than the epochs if it never is.",
        ),
        Measure(
            "convergence",
            "early_top1",
            "accuracy in the first half",
            "%",
            1,
            "Mean top-1 accuracy over the first half of the epochs.",
        ),
        Measure(
            "landscape",
            "loss_band",
            "band of the loss, equal steps",
            "log10",
            -1,
            "Mean over the training of log10 of the width of the loss along the gradient.",
        ),
        Measure(
            "landscape",
            "loss_band_equal_loss",
            "band of the loss, equal loss",
            "log10",
            -1,
            "The same over the losses that all arms pass through, in equal parts.",
        ),
        Measure(
            "landscape",
            "gradient_band",
            "band of the gradient, equal steps",
            "log10",
            -1,
            "Mean over the training of log10 of the width of the gradient's change.",
        ),
        Measure(
            "landscape",
            "gradient_band_equal_loss",
            "band of the gradient, equal loss",
            "log10",
            -1,
            "The same over the losses that all arms pass through.",
        ),
        Measure(
            "landscape",
            "beta",
            "effective smoothness",
            "log10",
            -1,
            "Mean over the training of log10 of the largest gradient change per length.",
        ),
        Measure(
            "landscape",
            "sharpness",
            "rise of the loss around the end point",
            "",
            -1,
            "Mean rise of the training loss at the ends of filter-normalised random lines.",
        ),
        Measure(
            "landscape",
            "top_eigenvalue",
            "largest eigenvalue of the Hessian",
            "log10",
            -1,
            "log10 of it at the end point.",
        ),
        Measure(
            "landscape",
            "trace",
            "trace of the Hessian",
            "log10",
            -1,
            "log10 of it at the end point.",
        ),
        Measure(
            "robustness",
            "clean_error",
            "clean error",
            "%",
            -1,
            "Top-1 error on the images without corruption.",
        ),
        Measure(
            "robustness",
            "corruption_error",
            "error under corruptions",
            "%",
            -1,
            "Mean top-1 error over severities, then over corruptions.",
        ),
        Measure(
            "robustness",
            "relative_error",
            "error beyond the clean error",
            "%",
            -1,
            "The error under corruptions minus the clean error.",
        ),
        Measure(
            "robustness",
            "error_at_equal_clean",
            "error at equal clean error",
            "%",
            -1,
            "The error under corruptions where the clean error is that which all arms reach.",
        ),
        Measure(
            "robustness",
            "flip_probability",
            "flip probability",
            "%",
            -1,
            "Mean over perturbations of how often neighbouring frames differ in class.",
        ),
        Measure(
            "robustness",
            "top5_distance",
            "top-5 distance",
            "",
            -1,
            "Mean over perturbations of the distance of neighbouring rankings.",
        ),
        Measure("detection", "box_AP", "box AP", "%", 1, "COCO's box AP at IoU 0.50 to 0.95."),
        Measure("detection", "mask_AP", "mask AP", "%", 1, "COCO's mask AP."),
        Measure("detection", "box_AP50", "box AP50", "%", 1, "Box AP at IoU 0.50."),
        Measure("detection", "mask_AP50", "mask AP50", "%", 1, "Mask AP at IoU 0.50."),
    )
}

Values = dict[str, dict[int, float | None]]
"""By arm and seed."""


@dataclass
class Found:
    """A measure with its values, of one schedule."""

    measure: Measure
    schedule: str
    values: Values = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in plans: ``top1/lrfast``."""
        return f"{self.measure.name}/{self.schedule}"


def find_measures(group: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Return the measures of a group that have a value, from what its finished jobs left."""
    found: dict[tuple[str, str], Found] = {}
    for source in (_convergence, _landscape, _robustness, _detection):
        for name, schedule, arm, seed, value in source(group, done):
            entry = found.setdefault((name, schedule), Found(MEASURES[name], schedule))
            entry.values.setdefault(arm, {})[seed] = value
    order = list(MEASURES)
    return sorted(found.values(), key=lambda entry: order.index(entry.measure.name))


_Line = tuple[str, str, str, int, float | None]

Run = tuple[Mapping[str, Any], Mapping[str, Any]]
"""What a finished job is about, and its numbers."""


def of_kind(done: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Run]:
    """Yield the finished jobs of a kind."""
    for entry in done:
        if entry["kind"] == kind:
            yield entry["about"], entry["numbers"]


def _convergence(group: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Iterator[_Line]:
    runs = {
        (about["schedule"], about["arm"], about["seed"]): numbers
        for about, numbers in of_kind(done, "train")
    }
    reference = group["controls"][0]
    for (schedule, arm, seed), numbers in runs.items():
        top1, epochs = numbers["top1"], numbers["epochs"]
        yield "top1", schedule, arm, seed, top1[-1]
        half = [value for epoch, value in zip(epochs, top1, strict=True) if 2 * epoch <= epochs[-1]]
        yield "early_top1", schedule, arm, seed, statistics.fmean(half) if half else None
        if (schedule, reference, seed) in runs:
            goal = runs[schedule, reference, seed]["top1"][-1]
            yield "epochs_to_reference", schedule, arm, seed, first_epoch_at(epochs, top1, goal)


def _landscape(group: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Iterator[_Line]:
    probes: dict[tuple[str, int], dict[str, Mapping[str, list]]] = {}
    # Without the part, a hook of somebody else has measured at steps of its own.
    for about, numbers in of_kind(done, "train") if "landscape" in group else ():
        if "probes" in numbers:
            at = probes.setdefault((about["schedule"], about["seed"]), {})
            at[about["arm"]] = numbers["probes"]
    named = (("loss_band", "loss_width"), ("gradient_band", "gradient_width"))
    for (schedule, seed), by_arm in probes.items():
        # Without one of the arms, other steps and another range would be common to the others.
        if not set(by_arm) >= set(group["landscape"]["arms"]):
            continue
        common = common_probes(by_arm)
        for name, column in (*named, ("beta", "beta")):
            for arm in by_arm:
                value = _mean(_log10(common[arm][column])) if common else None
                yield name, schedule, arm, seed, value
        for name, column in named:
            found = at_equal_loss(common, column) if common else dict.fromkeys(by_arm)
            for arm, value in found.items():
                yield f"{name}_equal_loss", schedule, arm, seed, value
    rises: dict[tuple[str, str, int], list[float | None]] = {}
    for about, numbers in of_kind(done, "sharpness"):
        key = (about["schedule"], about["arm"], about["seed"])
        rises.setdefault(key, []).append(numbers["rise"])
    wanted = group["landscape"]["sharpness"]["directions"] if "landscape" in group else 0
    for (schedule, arm, seed), values in rises.items():
        if len(values) == wanted:
            known = [value for value in values if value is not None]
            mean = statistics.fmean(known) if len(known) == wanted else None
            yield "sharpness", schedule, arm, seed, mean
    for about, numbers in of_kind(done, "curvature"):
        for name in ("top_eigenvalue", "trace"):
            value = numbers[name]
            log = math.log10(value) if value > 0 else None
            yield name, about["schedule"], about["arm"], about["seed"], log


def common_probes(by_arm: Mapping[str, Mapping[str, list]]) -> dict[str, dict[str, list]] | None:
    """Keep the steps at which the probes of all arms are finite.

    A probe whose loss rises beyond all numbers is of the roughest place: left out of one arm alone,
    that arm would look the smoother. None if more than one in twenty is lost.
    """
    finite = []
    for columns in by_arm.values():
        rows = np.array([columns[name] for name in columns if name != "step"], dtype=float)
        kept = np.isfinite(rows).all(axis=0) & (rows > 0).all(axis=0)
        finite.append({step for step, good in zip(columns["step"], kept, strict=True) if good})
    every = set().union(*(columns["step"] for columns in by_arm.values()))
    common = set.intersection(*finite)
    if not common or len(common) < LEAST_KEPT * len(every):
        return None
    return {
        arm: {
            name: [
                value for step, value in zip(columns["step"], values, strict=True) if step in common
            ]
            for name, values in columns.items()
        }
        for arm, columns in by_arm.items()
    }


def at_equal_loss(by_arm: Mapping[str, Mapping[str, list]], column: str) -> dict[str, float | None]:
    """Average log10 of a column over the losses that all arms pass through.

    The range of losses that all arms have is cut into `LOSS_PARTS` parts of equal length; the means
    of the parts in which every arm has a probe are averaged. None without such a part.
    """
    losses = {arm: np.array(columns["loss"], dtype=float) for arm, columns in by_arm.items()}
    logs = {arm: _log10(columns[column]) for arm, columns in by_arm.items()}
    finite = [values[np.isfinite(values)] for values in losses.values()]
    if not all(map(len, finite)):
        return dict.fromkeys(by_arm)
    low, high = max(map(np.min, finite)), min(map(np.max, finite))
    if not low < high:
        return dict.fromkeys(by_arm)
    edges = np.linspace(low, high, LOSS_PARTS + 1)
    means = np.full((len(by_arm), LOSS_PARTS), np.nan)
    for row, arm in enumerate(by_arm):
        # The last part has both its ends.
        part = np.minimum(np.digitize(losses[arm], edges) - 1, LOSS_PARTS - 1)
        inside = (losses[arm] >= low) & (losses[arm] <= high) & np.isfinite(logs[arm])
        for index in set(part[inside]):
            means[row, index] = logs[arm][inside & (part == index)].mean()
    common = np.isfinite(means).all(axis=0)
    if not common.any():
        return dict.fromkeys(by_arm)
    return dict(zip(by_arm, means[:, common].mean(axis=1).tolist(), strict=True))


def _log10(values: Sequence[float | None]) -> np.ndarray:
    """Return logarithms, NaN where there is none."""
    numbers = np.array(values, dtype=float)
    return np.log10(np.where(numbers > 0, numbers, np.nan))


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _robustness(group: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Iterator[_Line]:
    points: dict[tuple[str, int], dict[str, dict[int, tuple[float, float]]]] = {}
    for about, numbers in of_kind(done, "corruptions"):
        at = points.setdefault((about["schedule"], about["seed"]), {})
        clean, error = numbers["clean_error"], numbers["error"]
        at.setdefault(about["arm"], {})[about["epoch"]] = (clean, error)
        if about["epoch"] == about["epochs"]:
            where = (about["schedule"], about["arm"], about["seed"])
            yield "clean_error", *where, clean
            yield "corruption_error", *where, error
            yield "relative_error", *where, error - clean
    for (schedule, seed), by_arm in points.items():
        if set(by_arm) >= set(group["robustness"]["arms"]):
            place = max(min(clean for clean, _ in found.values()) for found in by_arm.values())
            for arm, found in by_arm.items():
                value = value_at(list(found.values()), place)
                yield "error_at_equal_clean", schedule, arm, seed, value
    for about, numbers in of_kind(done, "perturbations"):
        for name in ("flip_probability", "top5_distance"):
            yield name, about["schedule"], about["arm"], about["seed"], numbers[name]


def _detection(_: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Iterator[_Line]:
    for about, numbers in of_kind(done, "detector"):
        for name in ("box_AP", "mask_AP", "box_AP50", "mask_AP50"):
            if name in numbers:
                yield name, about["schedule"], about["detector"], about["seed"], numbers[name]
