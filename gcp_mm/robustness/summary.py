"""The measures of a result file in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(content: Mapping[str, Any]) -> str:
    """Say what a result file holds, and what it does not allow to say.

    Args:
        content: Of the file.

    Returns:
        Lines of text. A mean that needs more cells or a baseline is named with the reason.
    """
    metrics = content["metrics"]
    lines = _corruptions(metrics) if content["dataset"] == "imagenet-c" else _flips(metrics)
    if reasons := metrics["not_comparable"]:
        lines.append(f"not comparable with published numbers: {', '.join(reasons)}")
    if content["settings"]["transform"][1].startswith("resize"):
        lines.append(f"images: {content['settings']['transform'][1]}")
    return "\n".join([f"{content['name']}, {len(content['cells'])} cells measured", *lines])


def _corruptions(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    if metrics["mean_error"] is not None:
        lines.append(f"mean error of 15 corruptions {metrics['mean_error']:.2%}")
    if metrics["clean_error"] is not None:
        lines.append(f"clean error {metrics['clean_error']:.2%}")
    if metrics["mCE"] is None:
        return [*lines, f"no mCE: {metrics['mCE_reason']}"]
    lines.append(f"mCE {metrics['mCE']:.2f}")
    if metrics["relative_mCE"] is not None:
        lines.append(f"relative mCE {metrics['relative_mCE']:.2f}")
    return lines


def _flips(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, probability in metrics["flip_probability"].items():
        distance = metrics["top5_distance"][name]
        lines.append(f"{name}: flip probability {probability:.5f}, top-5 distance {distance:.4f}")
    for mean in ("mFR", "mT5D"):
        value = metrics[mean]
        reason = metrics[f"{mean}_reason"]
        lines.append(f"{mean} {value:.2f}" if value is not None else f"no {mean}: {reason}")
    return lines
