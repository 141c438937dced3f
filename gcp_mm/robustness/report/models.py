"""The networks of a report: their result files, and whether these may stand side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import differences
from gcp_mm.robustness.evaluation.result import read_result

_DIGESTS = ("checkpoint_sha256", "config_sha256")


@dataclass
class Model:
    """A network with one result file, or one on each data set.

    Attributes:
        name: In tables and figures.
        results: Content of the file by 'imagenet-c' and 'imagenet-p'.
        paths: Of the files.
    """

    name: str
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def metrics(self, dataset: str) -> Mapping[str, Any]:
        """Return the measures on a data set, nothing where there are none."""
        return self.results[dataset]["metrics"] if dataset in self.results else {}

    def reasons(self) -> list[str]:
        """Say what keeps the numbers from being compared with published ones."""
        found = [r for data in self.results for r in self.metrics(data).get("not_comparable", ())]
        return list(dict.fromkeys(found))


def results_of(models: Sequence[Model], dataset: str) -> Iterator[tuple[Model, Mapping[str, Any]]]:
    """Go through the models that have a result on a data set."""
    for model in models:
        if dataset in model.results:
            yield model, model.results[dataset]


def read_models(paths: Sequence[Path], names: Sequence[str] | None = None) -> list[Model]:
    """Read result files; those of one name on the two data sets belong to one network.

    Args:
        paths: The files.
        names: A name for each file, in place of the one in it.

    Returns:
        The models in the order of the files.

    Raises:
        UserError: If a file cannot be read, two files are of one name and one data set, or of one
            name and different networks.
    """
    if names and len(names) != len(paths):
        raise UserError(f"{len(names)} --names for {len(paths)} files: give one for each")
    models: dict[str, Model] = {}
    for index, path in enumerate(paths):
        content = read_result(path)
        model = models.setdefault(name := names[index] if names else content["name"], Model(name))
        dataset = content["dataset"]
        if dataset in model.paths:
            raise UserError(
                f"{str(model.paths[dataset])!r} and {str(path)!r} are both {name!r} on {dataset}: "
                "give each file a name with --names"
            )
        for other, result in model.results.items():
            if any(result["settings"].get(key) != content["settings"].get(key) for key in _DIGESTS):
                raise UserError(
                    f"{str(model.paths[other])!r} and {str(path)!r} are both {name!r}, and of "
                    "different networks or weights: tell them apart with --names"
                )
        model.results[dataset], model.paths[dataset] = content, path
    return list(models.values())


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
    """Compare the settings of the results on each data set with those of the first one."""
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
