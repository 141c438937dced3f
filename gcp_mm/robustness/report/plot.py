"""Figures of robustness: bars by corruption or perturbation, curves over severities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gcp_mm.plots.figure import as_text, new_figure
from gcp_mm.robustness.report.values import Table, select

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _colours(number: int) -> list:
    from matplotlib import colormaps

    return [colormaps["tab10" if number <= 10 else "tab20"](index) for index in range(number)]


def draw_bars(table: Table, names: Sequence[str], label: str) -> Figure:
    """Draw a group of bars for each name, with a bar for each model."""
    shown, rows = select(table, names)
    width = 1.5 + 0.2 * len(shown) * (1 + len(rows))
    figure = new_figure(width=min(max(4.5, width), 14), height=3.8)
    axes = figure.subplots()
    thickness = 0.8 / len(rows)
    for index, ((model, row), colour) in enumerate(
        zip(rows.items(), _colours(len(rows)), strict=True)
    ):
        places = [place for place, name in enumerate(shown) if name in row]
        axes.bar(
            np.array(places) + thickness * (index - (len(rows) - 1) / 2),
            [row[shown[place]] for place in places],
            thickness,
            color=colour,
            label=as_text(model),
        )
    axes.set_xticks(range(len(shown)), [as_text(name.replace("_", " ")) for name in shown])
    axes.tick_params("x", rotation=40)
    for text in axes.get_xticklabels():
        text.set(ha="right", rotation_mode="anchor")
    axes.set(ylabel=label, xlim=(-0.6, len(shown) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=min(len(rows), 3), fontsize=8)
    return figure


def draw_severities(curves: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Figure:
    """Draw the error against the severity, a panel for each corruption."""
    names = list(dict.fromkeys(name for rows in curves.values() for name in rows))
    severities = sorted({s for rows in curves.values() for row in rows.values() for s in row})
    columns = min(len(names), 5)
    lines = math.ceil(len(names) / columns)
    figure = new_figure(width=2.1 * columns + 0.5, height=1.8 * lines + 0.6)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    panels = grid.flatten().tolist()
    for axes, name in zip(panels, names, strict=False):
        for (model, rows), colour in zip(curves.items(), _colours(len(curves)), strict=True):
            points = rows.get(name, {})
            axes.plot(
                list(points), list(points.values()), marker=".", color=colour, label=as_text(model)
            )
        axes.set_title(as_text(name.replace("_", " ")), fontsize=9)
        axes.set_xticks(severities)
        axes.grid(alpha=0.3)
    for axes in panels[len(names) :]:
        axes.remove()
    figure.supxlabel("severity", fontsize=10)
    figure.supylabel("top-1 error (%)", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)
    return figure
