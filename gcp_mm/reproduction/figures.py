"""The figures of the claims, as SVG."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp_mm.plots.figure import as_text, new_figure, svg_text
from gcp_mm.reproduction.measures import Run, of_kind
from gcp_mm.reproduction.statistics import OPPOSITE, SHOWS, vary
from gcp_mm.reproduction.verdicts import ClaimVerdict, arms_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Done = Sequence[Mapping[str, Any]]

_COLOURS = {SHOWS: "tab:green", OPPOSITE: "tab:red"}
# Widths are of all sizes; this many groups of probes are drawn.
_LOSS_GROUPS = 20


def claim_figures(
    verdict: ClaimVerdict, group: Mapping[str, Any], done: Done
) -> list[tuple[str, str, str, str]]:
    """Return SVG, alternative text, caption and name of the figures of a claim."""
    drawn = _DRAWN[verdict.claim](group, done)
    figures = [(*drawn, verdict.claim)] if drawn else []
    if verdict.pairs:
        figures.append((*_differences(verdict, group), f"{verdict.claim}_differences"))
    return [(svg, alt, caption, f"{verdict.group}_{name}") for svg, alt, caption, name in figures]


def _lines(
    axes: Axes, title: str, colour: str, curves: Sequence[tuple[Sequence, Sequence]]
) -> None:
    """Draw the mean of curves over the same places, and the range of the seeds."""
    shortest = min(len(x) for x, _ in curves)
    places = np.array(curves[0][0][:shortest], dtype=float)
    values = np.array([y[:shortest] for _, y in curves], dtype=float)
    axes.plot(places, values.mean(axis=0), ".-", color=colour, label=as_text(title))
    axes.fill_between(
        places, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0
    )


def _by_arm(group: Mapping[str, Any], runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Group runs by arm, in the order of the plan."""
    found: dict[str, list[Run]] = {arm: [] for arm in group["arms"]}
    for about, numbers in runs:
        found[about["arm"]].append((about, numbers))
    return {arm: entries for arm, entries in found.items() if entries}


def _convergence(group: Mapping[str, Any], done: Done) -> tuple[str, str, str] | None:
    schedules = list(group["schedules"])
    figure = new_figure(width=3.4 * len(schedules), height=3.2)
    panels = figure.subplots(1, len(schedules), squeeze=False, sharey=True)[0]
    for axes, schedule in zip(panels, schedules, strict=True):
        runs = [run for run in of_kind(done, "train") if run[0]["schedule"] == schedule]
        for number, (arm, entries) in enumerate(_by_arm(group, runs).items()):
            curves = [(numbers["epochs"], numbers["top1"]) for _, numbers in entries]
            _lines(axes, group["arms"][arm]["title"], f"C{number}", curves)
        axes.set(title=as_text(schedule), xlabel="epoch")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("top-1 accuracy in %")
    # Of a plan that is not finished, some are empty.
    drawn = [panel for panel in panels if panel.lines]
    if drawn:
        drawn[-1].legend(fontsize=7)
    caption = "Accuracy by epoch: mean over the seeds, and their range."
    return svg_text(figure), "Curves of accuracy against epochs, a panel a schedule", caption


def _landscape(group: Mapping[str, Any], done: Done) -> tuple[str, str, str] | None:
    runs = _by_arm(group, (run for run in of_kind(done, "train") if "probes" in run[1]))
    if not runs:
        return None
    figure = new_figure(width=7.6, height=5.6)
    panels = figure.subplots(2, 2)
    for row, (column, title) in enumerate(
        (("loss_width", "width of the loss"), ("gradient_width", "width of the gradient change"))
    ):
        for number, (arm, entries) in enumerate(runs.items()):
            name, colour = group["arms"][arm]["title"], f"C{number}"
            probes = [numbers["probes"] for _, numbers in entries]
            _lines(panels[row, 0], name, colour, [(p["step"], p[column]) for p in probes])
            losses, widths = (
                np.array([value for p in probes for value in p[key]], dtype=float)
                for key in ("loss", column)
            )
            kept = np.isfinite(losses) & np.isfinite(widths)
            order = np.argsort(losses[kept])
            parts = [part for part in np.array_split(order, _LOSS_GROUPS) if len(part)]
            centres = [losses[kept][part].mean() for part in parts]
            middles = [np.median(widths[kept][part]) for part in parts]
            panels[row, 1].plot(centres, middles, ".-", color=colour, label=as_text(name))
        panels[row, 0].set(xlabel="iteration", ylabel=title, yscale="log")
        panels[row, 1].set(xlabel="training loss", yscale="log")
        panels[row, 1].invert_xaxis()
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=7)
    caption = (
        "Widths of the bands along the gradient: left over the training, mean and range of the "
        "seeds, right against the loss of the batch, medians of groups of probes. Training runs "
        "from left to right in both."
    )
    return svg_text(figure), "Widths of bands against iterations and against the loss", caption


def _robustness(group: Mapping[str, Any], done: Done) -> tuple[str, str, str] | None:
    runs = _by_arm(group, of_kind(done, "corruptions"))
    if not runs:
        return None
    figure = new_figure(width=8.4, height=3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    width = 0.8 / len(runs)
    names = list(next(iter(runs.values()))[0][1]["errors"])
    for number, (arm, entries) in enumerate(runs.items()):
        title, colour = as_text(group["arms"][arm]["title"]), f"C{number}"
        clean = [numbers["clean_error"] for _, numbers in entries]
        left.scatter(clean, [n["error"] for _, n in entries], s=12, color=colour, label=title)
        last = [n for about, n in entries if about["epoch"] == about["epochs"]]
        if last:
            rises = [
                statistics.fmean(n["errors"][name] - n["clean_error"] for n in last)
                for name in names
            ]
            places = np.arange(len(names)) + (number - (len(runs) - 1) / 2) * width
            right.bar(places, rises, width, color=colour)
    left.set(xlabel="clean error in %", ylabel="error under corruptions in %")
    left.legend(fontsize=7)
    right.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=60)
    right.tick_params(axis="x", labelsize=7)
    right.set_ylabel("error beyond the clean error in %")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    caption = (
        "Left, each measured epoch of each seed: at equal clean error, the lower one is more "
        "robust. Right, what a corruption adds after the last epoch, mean over the seeds."
    )
    return svg_text(figure), "Errors under corruptions against clean errors, and bars", caption


def _detection(group: Mapping[str, Any], done: Done) -> tuple[str, str, str] | None:
    found = list(of_kind(done, "detector"))
    if not found:
        return None
    arms = group["detection"]["arms"]
    figure = new_figure(width=6.4, height=3)
    panels = figure.subplots(1, 2)
    for axes, (key, title) in zip(
        panels, (("box_AP", "box AP"), ("mask_AP", "mask AP")), strict=True
    ):
        for place, arm in enumerate(arms):
            values = [n[key] for about, n in found if about["detector"] == arm and key in n]
            axes.plot([place] * len(values), values, "o", color=f"C{place}", alpha=0.6)
            if values:
                axes.plot(place, statistics.fmean(values), "_", color="black", markersize=18)
        axes.set_xticks(range(len(arms)), [as_text(arm["title"]) for arm in arms.values()])
        axes.set(ylabel=f"{title} in %", xlim=(-0.5, len(arms) - 0.5))
        axes.grid(alpha=0.3)
    caption = "Average precision of each seed, and the means."
    return svg_text(figure), "Dots of box and mask AP for each detector", caption


_DRAWN: Mapping[str, Callable[[Mapping[str, Any], Done], tuple[str, str, str] | None]] = {
    "convergence": _convergence,
    "landscape": _landscape,
    "robustness": _robustness,
    "detection": _detection,
}


def _differences(verdict: ClaimVerdict, group: Mapping[str, Any]) -> tuple[str, str, str]:
    """Draw every interval, in lengths of half of it, so that measures of all units fit."""
    _, _, arms = arms_of(group, verdict.claim)
    with_interval = [pair for pair in verdict.pairs if pair.comparison.low is not None]
    pairs = [pair for pair in with_interval if vary(pair.values)]
    equal = len(with_interval) - len(pairs)
    figure = new_figure(width=7.2, height=0.9 + 0.22 * max(1, len(pairs)))
    axes = figure.subplots()
    labels = []
    for place, pair in enumerate(pairs):
        found = pair.comparison
        assert found.mean is not None and found.low is not None and found.high is not None
        sign = pair.found.measure.sign
        reach = (found.high - found.low) / 2
        middle = float(np.clip(sign * found.mean / reach, -10, 10))
        colour = _COLOURS.get(found.verdict, "tab:gray")
        axes.errorbar(middle, place, xerr=1, fmt="o", color=colour, markersize=4)
        star = " *" if pair.primary else ""
        names = (arms[pair.treatment]["title"], arms[pair.control]["title"])
        labels.append(as_text(f"{pair.found.name}: {names[0]} - {names[1]}{star}"))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(pairs)), labels, fontsize=6)
    axes.set(xlabel="difference in the claimed direction, in half intervals", xlim=(-11, 11))
    axes.invert_yaxis()
    axes.grid(alpha=0.3, axis="x")
    caption = (
        "Paired differences and their intervals, each in lengths of half its interval and cut at "
        "10; right of zero is the claimed direction. Stars are what the verdict depends on."
    )
    if equal:
        caption += f" Pairs that are left out, as all seeds have the same difference: {equal}."
    return svg_text(figure), "Intervals of paired differences around a line at zero", caption
