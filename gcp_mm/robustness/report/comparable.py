"""Whether the results of several networks may stand side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import differences
from gcp_mm.robustness.report.models import Model, results_of

# Which images, and what their errors are divided by.
_DATA = (
    "baseline",
    "baseline_sha256",
    "classes_sha256",
    "difficulty",
    "listing_sha256",
    "manifest_sha256",
    "num_classes",
    "num_samples",
    "regenerated",
    "shard",
)
# How a network sees them: part of the network, but worth a line.
_PROCESSING = ("dtype", "input_size", "transform")


def check_comparable(models: Sequence[Model]) -> list[str]:
    """Compare the settings of the results on each data set with those of the first one.

    Args:
        models: The models.

    Returns:
        Sentences about settings that differ and change numbers a little.

    Raises:
        UserError: If a result is of other data, is relative to another baseline, or is one shard.
    """
    notes = []
    for dataset in ("imagenet-c", "imagenet-p"):
        first: tuple[Model, Mapping[str, Any]] | None = None
        for model, content in results_of(models, dataset):
            path, settings = str(model.paths[dataset]), content["settings"]
            if settings.get("shard"):
                raise UserError(f"{path!r} is one shard of an evaluation: `merge` them first")
            first = first or (model, settings)
            reference, expected = first
            if different := _different(expected, settings, _DATA):
                raise UserError(
                    f"{path!r} cannot be compared with {str(reference.paths[dataset])!r} (there): "
                    f"{abbreviate(different, 6)}. Evaluate both in the same way"
                )
            if different := _different(expected, settings, _PROCESSING):
                notes.append(
                    f"{dataset}: {model.name} (here) and {reference.name} (there) saw the images "
                    f"in different ways: {'; '.join(different)}"
                )
    return notes


def _different(one: Mapping[str, Any], other: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    def chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {key: settings.get(key) for key in keys}

    return differences(chosen(one), chosen(other))
