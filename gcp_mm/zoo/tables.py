"""The model zoo as tables: plain text for a terminal, Markdown for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from gcp_mm.zoo.rows import CLASSIFICATION, DETECTION, Row

_SCHEDULES = {"lrnorm": "LRnorm", "lrfast": "LRfast", "lradju": "LRadju"}
_AP = ("AP", "AP50", "AP75", "APS", "APM", "APL")


def list_table(rows: Iterable[Row]) -> str:
    """Lay rows out for a terminal.

    Args:
        rows: The rows.

    Returns:
        Aligned text; the last line says what the columns hold.
    """
    headers = ("row", "channels", "params M", "GFLOPs", "published", "measured here", "released")
    body = [
        (
            row.name,
            row.reduced_channels or "-",
            f"{row.parameters / 1e6:.2f}",
            f"{(row.flops + row.pooling_flops) / 1e9:.2f}",
            row.headline(row.published),
            "; ".join(row.headline(entry.metrics) for entry in row.measured) or "-",
            "yes" if row.release else "no",
        )
        for row in rows
    ]
    legend = (
        f"{len(body)} rows. channels: before the covariance; GFLOPs: multiply-adds, with the "
        "covariance layer;\npublished and measured: top-1 / top-5 or box AP / mask AP, in %"
    )
    return f"{_text(headers, body, 'simple')}\n{legend}"


def imagenet_section(rows: Iterable[Row]) -> str:
    """Render the classification rows: a line for each network, a column for each schedule.

    Args:
        rows: Rows of every task; the others are left out.

    Returns:
        Markdown.
    """
    rows = [row for row in rows if row.task == CLASSIFICATION]
    networks: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        key = (row.backbone, row.pooling, row.reduced_channels)
        networks.setdefault(key, {})[row.schedule] = row
    body = []
    for (backbone, pooling, channels), by_schedule in networks.items():
        row = next(iter(by_schedule.values()))
        numbers = [
            _link(by_schedule[name].headline(by_schedule[name].published), by_schedule[name])
            if name in by_schedule
            else "-"
            for name in _SCHEDULES
        ]
        size = (f"{row.parameters / 1e6:.2f}", f"{row.flops / 1e9:.2f}")
        layer = f"{row.pooling_flops / 1e9:.2f}" if row.pooling_flops else "-"
        body.append((backbone, pooling.upper(), channels or "-", *size, layer, *numbers))
    headers = ("backbone", "pooling", "channels", "params M", "GFLOPs", "+ layer")
    return "\n\n".join(
        (
            "ImageNet-1k validation, 224 x 224, single crop, top-1 / top-5 in %. **Published by "
            "the authors**; the numbers link to their files.",
            _text((*headers, *_SCHEDULES.values()), body, "pipe"),
            "FLOPs are multiply-adds of convolutions and fully connected layers; *+ layer* adds "
            "the products of the covariance layer. A row is called "
            "`<backbone>_<pooling>_<schedule>`, with `_128` for 128 channels.",
            _measured(rows),
        )
    )


def coco_section(rows: Iterable[Row]) -> str:
    """Render the detection rows: box AP of all, mask AP of Mask R-CNN.

    Args:
        rows: Rows of every task; the others are left out.

    Returns:
        Markdown.
    """
    rows = [row for row in rows if row.task == DETECTION]
    boxes = [
        (row.name, f"{row.parameters / 1e6:.2f}", f"{row.flops / 1e9:.1f}", *_ap(row, "box"))
        for row in rows
    ]
    masks = [(row.name, *_ap(row, "mask")) for row in rows if "mask AP" in row.published]
    return "\n\n".join(
        (
            "COCO val2017. **Published by the authors** with mmdet v1; AP links to their files. "
            "Box AP in %:",
            _text(("row", "params M", "GFLOPs", *_AP), boxes, "pipe"),
            "Mask AP in %:",
            _text(("row", *_AP), masks, "pipe"),
            "FLOPs are multiply-adds for one image of 800 x 1280, with 1000 proposals in the box "
            "head and 100 in the mask head.",
            _measured(rows),
        )
    )


def _ap(row: Row, kind: str) -> tuple[str, ...]:
    first, *others = (f"{row.published[f'{kind} {name}']:.1f}" for name in _AP)
    return _link(first, row), *others


def _measured(rows: Sequence[Row]) -> str:
    """Render what this project measured of the rows."""
    body = [
        (
            row.name,
            row.headline(row.published),
            row.headline(entry.metrics),
            f"`{entry.command}`",
            f"{entry.commit}, {entry.date}, {entry.machine}",
        )
        for row in rows
        for entry in row.measured
    ]
    if not body:
        return "**Measured here: none of these rows.**"
    headers = ("row", "published", "measured here", "command", "commit, date, machine")
    return "Measured by this project:\n\n" + _text(headers, body, "pipe")


def _link(text: str, row: Row) -> str:
    return f"[{text}]({row.release.url})" if row.release else text


def _text(headers: Sequence, body: Sequence[Sequence], style: str) -> str:
    # Without disable_numparse, 89.00 would lose its zeros.
    return tabulate(body, headers=headers, tablefmt=style, disable_numparse=True)
