"""The model zoo as text: tables for a terminal and for pages, and everything about one row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write, why_absent
from gcp_mm.zoo.rows import CLASSIFICATION, DETECTION, FINE_GRAINED, Row, load_rows
from gcp_mm.zoo.weights import default_checkpoint

_SCHEDULES = {"lrnorm": "LRnorm", "lrfast": "LRfast", "lradju": "LRadju"}
_OF_DROPCOV = {"lrnorm": "LRnorm", "mindspore": "in the port"}
_AP = ("AP", "AP50", "AP75", "APS", "APM", "APL")


def list_table(rows: Iterable[Row]) -> str:
    """Lay rows out for a terminal."""
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
    """Render the classification rows: a line for each network, a column for each schedule."""
    rows = [row for row in rows if row.task == CLASSIFICATION]
    dropcov = [row for row in rows if row.pooling == "dropcov"]
    parts = [
        _networks([row for row in rows if row.pooling != "dropcov"], _SCHEDULES),
        "FLOPs are multiply-adds of convolutions and fully connected layers; *+ layer* adds "
        "the products of the covariance layer. A row is called "
        "`<backbone>_<pooling>_<schedule>`, with `_128` for 128 channels.",
    ]
    if dropcov:
        parts += [
            "DropCov, top-1: published by [its authors](https://github.com/mingzeG/DropCov), and "
            "by those of [its port to MindSpore](https://github.com/Sherry1945/Dropcov_mindspore) "
            "with a schedule of its own (`mindspore`).",
            _networks(dropcov, _OF_DROPCOV),
        ]
    return "\n\n".join(
        (
            "ImageNet-1k validation, 224 x 224, single crop, top-1 / top-5 in %. **Published by "
            "the authors**; the numbers link to their files.",
            *parts,
            _measured(rows),
        )
    )


def _networks(rows: Iterable[Row], schedules: Mapping[str, str]) -> str:
    """Render a line for each network, with a column for each of the schedules."""
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
            for name in schedules
        ]
        size = (f"{row.parameters / 1e6:.2f}", f"{row.flops / 1e9:.2f}")
        layer = f"{row.pooling_flops / 1e9:.2f}" if row.pooling_flops else "-"
        name = "DropCov" if pooling == "dropcov" else pooling.upper()
        body.append((backbone, name, channels or "-", *size, layer, *numbers))
    headers = ("backbone", "pooling", "channels", "params M", "GFLOPs", "+ layer")
    return _text((*headers, *schedules.values()), body, "pipe")


def finegrained_section(rows: Iterable[Row]) -> str:
    """Render the rows of fine-grained data: a line for each network, a column for each set."""
    rows = [row for row in rows if row.task == FINE_GRAINED]
    sets = list(dict.fromkeys(row.dataset for row in rows))
    networks: dict[str, dict[str, Row]] = {}
    for row in rows:
        networks.setdefault(row.backbone, {})[row.dataset] = row
    body = [
        (
            backbone,
            *(by_set[n].headline(by_set[n].published) if n in by_set else "-" for n in sets),
        )
        for backbone, by_set in networks.items()
    ]
    return "\n\n".join(
        (
            "Fine-tuned at 448 x 448, top-1 in %. **Published by the authors** of "
            "[fast-MPN-COV](https://github.com/jiangtaoxie/fast-MPN-COV): ResNet-50 as trained "
            "with that code, ResNet-101 with an SVM behind the network, as in the paper.",
            _text(("backbone, GCP", *sets), body, "pipe"),
            "The configs are `configs/finegrained/<backbone>_gcp_{cub,aircraft,cars}.py`, and "
            "those with `bcnn` or `cbp` in place of `gcp` for ResNet-50.",
            _measured(rows),
        )
    )


def coco_section(rows: Iterable[Row]) -> str:
    """Render the detection rows: box AP of all, mask AP of Mask R-CNN."""
    rows = [row for row in rows if row.task == DETECTION]
    boxes = [
        (row.name, f"{row.parameters / 1e6:.2f}", f"{row.flops / 1e9:.1f}", *_ap(row, "box"))
        for row in rows
    ]
    masks = [(row.name, *_ap(row, "mask")) for row in rows if "mask AP" in row.published]
    return "\n\n".join(
        (
            "COCO val2017. **Published by the authors**, who name mmdetection without a version; "
            "AP links to their files. Box AP in %:",
            _text(("row", "params M", "GFLOPs", *_AP), boxes, "pipe"),
            "Mask AP in %:",
            _text(("row", *_AP), masks, "pipe"),
            "FLOPs are multiply-adds for one image of 800 x 1280, with 1000 proposals in the box "
            "head and 100 in the mask head.",
            _measured(rows),
        )
    )


def rows_section(rows: Iterable[Row]) -> str:
    """Render every row, what was published beside what was measured here."""
    body = [
        (
            f"`{row.name}`",
            row.dataset,
            row.backbone,
            row.pooling,
            row.reduced_channels or "-",
            row.schedule,
            row.epochs,
            f"{row.parameters / 1e6:.2f}",
            f"{(row.flops + row.pooling_flops) / 1e9:.2f}",
            row.headline(row.published) or "-",
            "; ".join(row.headline(entry.metrics) for entry in row.measured) or "-",
            _link("file", row) if row.release else "-",
        )
        for row in rows
    ]
    headers = (
        *("row", "data", "backbone", "pooling", "channels", "schedule", "epochs", "params M"),
        *("GFLOPs", "published", "measured here", "released"),
    )
    return _text(headers, body, "pipe")


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


SECTIONS = {
    "imagenet": imagenet_section,
    "finegrained": finegrained_section,
    "coco": coco_section,
}
# One table more, where a page has its markers.
ON_REQUEST = {"rows": rows_section}


def update_readme(path: str | Path, check: bool = False) -> bool:
    """Write the tables of the metafiles into a Markdown file.

    A table stands between ``<!-- zoo:NAME -->`` and ``<!-- /zoo:NAME -->``, NAME being one of
    :data:`SECTIONS`, which all have to be there, or of :data:`ON_REQUEST`. The rest of the file is
    left as it is.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{str(path)!r} {why_absent(path)} (working folder: {Path.cwd()}); run this in the "
            "source tree, whose docs have the tables, or name a file with --path"
        )
    text = updated = path.read_text(encoding="utf-8")
    stale = []
    wanted = {name: one for name, one in ON_REQUEST.items() if f"<!-- zoo:{name} -->" in text}
    for name, render in {**SECTIONS, **wanted}.items():
        before, updated = updated, _replace(updated, name, render(load_rows()), path)
        if updated != before:
            stale.append(name)
    if check and stale:
        raise UserError(
            f"{path}: the tables {', '.join(stale)} are not what the metafiles below configs/ say; "
            f"run `{command_line('zoo')} readme`"
        )
    if stale:
        atomic_write(path, updated)
    return updated != text


def _replace(text: str, name: str, table: str, path: Path) -> str:
    """Put a table between the markers of its name."""
    start, end = f"<!-- zoo:{name} -->", f"<!-- /zoo:{name} -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise UserError(f"{path}: expected one section between {start} and {end}")
    return pattern.sub(lambda _: f"{start}\n\n{table}\n\n{end}", text)


def describe(row: Row) -> str:
    """Describe a row: what it is, its numbers, its file and the commands that use it."""
    channels = f", {row.reduced_channels} channels" if row.reduced_channels else ""
    network = f"{row.detector}, {row.backbone}" if row.detector else row.backbone
    flops = f"{row.flops / 1e9:.2f} G multiply-adds"
    if row.pooling_flops:
        flops += f", and {row.pooling_flops / 1e9:.2f} G in the covariance layer"
    lines = [
        row.name,
        f"  task        {row.task}",
        f"  network     {network}, {row.pooling}{channels}",
        f"  schedule    {row.schedule}, {row.epochs} epochs",
        f"  size        {row.parameters:,} parameters, {flops}",
        f"  config      {row.config}",
        f"  published   {_numbers(row.published)}",
    ]
    for entry in row.measured:
        lines += [
            f"  measured    {_numbers(entry.metrics)}",
            f"              {entry.command} ({entry.commit}, {entry.date}, {entry.machine})",
        ]
    if not row.measured:
        lines.append("  measured    not by this project")
    if row.release is None:
        lines.append("  released    no file")
    else:
        lines.append(f"  released    {row.release.url}")
        if row.release.baidu is not None:
            code = row.release.baidu_code
            lines.append(f"              {row.release.baidu_url} (extraction code {code})")
        lines.append(f"  sha256      {row.release.sha256 or 'not recorded yet'}")
    # A batch of 10 is not divided.
    alone = row.task == FINE_GRAINED
    train = f"{command_line('train')} {row.typed_config}"
    lines.append(f"  train       {train if alone else f'tools/dist_train.sh {row.config} 8'}")
    checkpoint = default_checkpoint(row) if row.task == CLASSIFICATION else "CHECKPOINT"
    lines.append(f"  evaluate    {command_line('test')} {row.typed_config} {checkpoint}")
    if row.release is not None:
        lines.append(f"  download    {command_line('zoo')} download {row.name}")
    return "\n".join(lines)


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in metrics.items())
