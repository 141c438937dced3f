"""Everything about one row, for a terminal."""

from __future__ import annotations

from gcp_mm.console.command_names import command_line
from gcp_mm.zoo.rows import CLASSIFICATION, Row
from gcp_mm.zoo.weights import default_checkpoint


def describe(row: Row) -> str:
    """Describe a row: what it is, its numbers, its file and the commands that use it.

    Args:
        row: The row.

    Returns:
        Lines of text.
    """
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
    return "\n".join([*lines, *_release(row), *_commands(row)])


def _numbers(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in metrics.items())


def _release(row: Row) -> list[str]:
    release = row.release
    if release is None:
        return ["  released    no file"]
    return [
        f"  released    {release.url}",
        f"              {release.baidu_url} (extraction code {release.baidu_code})",
        f"  sha256      {release.sha256 or 'not recorded yet'}",
    ]


def _commands(row: Row) -> list[str]:
    lines = [f"  train       tools/dist_train.sh {row.config} 8"]
    checkpoint = default_checkpoint(row) if row.task == CLASSIFICATION else "CHECKPOINT"
    lines.append(f"  evaluate    {command_line('test')} {row.typed_config} {checkpoint}")
    if row.release is not None:
        lines.append(f"  download    {command_line('zoo')} download {row.name}")
    return lines
