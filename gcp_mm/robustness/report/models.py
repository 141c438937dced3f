"""The networks of a report: result files that may stand side by side, and published rows."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import differences
from gcp_mm.robustness.evaluation.result import read_result
from gcp_mm.zoo.rows import zoo_root

_DIGESTS = ("checkpoint_sha256", "config_sha256")


@dataclass
class Model:
    """A network with one result file, or one on each data set, by 'imagenet-c' and 'imagenet-p'."""

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
        for model in models:
            if dataset not in model.results:
                continue
            path, settings = str(model.paths[dataset]), model.results[dataset]["settings"]
            if settings.get("shard"):
                raise UserError(f"{path!r} is one shard of an evaluation: `merge` them first")
            first = first or (model, settings)
            reference, expected = first
            if different := differences(expected, settings, _DATA):
                raise UserError(
                    f"{path!r} cannot be compared with {str(reference.paths[dataset])!r} (there): "
                    f"{abbreviate(different, 6)}. Evaluate both in the same way"
                )
            if different := differences(expected, settings, _PROCESSING):
                notes.append(
                    f"{dataset}: {model.name} (here) and {reference.name} (there) saw the images "
                    f"in different ways: {'; '.join(different)}"
                )
    return notes


#: The published means, in the order of the paper's table.
MEANS = ("mCE", "relative mCE", "mFP", "mT5D")


@dataclass(frozen=True)
class PublishedRobustness:
    """A row of the published table in percent; ``configs/imagenet/robustness.yml`` has the sources.

    The name is that of the row of the model zoo, or ``torchvision_`` and that of the network.
    """

    name: str
    means: Mapping[str, float]
    corruption_errors: Mapping[str, float] = field(default_factory=dict)


@functools.cache
def load_robustness() -> tuple[PublishedRobustness, ...]:
    """Read the published rows."""
    path = zoo_root() / "configs" / "imagenet" / "robustness.yml"
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["Rows"]
    return tuple(
        PublishedRobustness(name, {mean: row[mean] for mean in MEANS}, row.get("CE", {}))
        for name, row in rows.items()
    )


def find_robustness(names: Sequence[str]) -> list[PublishedRobustness]:
    """Look rows up; upper and lower case are the same."""
    rows = load_robustness()
    known = [row.name for row in rows]
    asked = {name.lower() for name in names}
    if unknown := sorted(asked - {"all", *known}):
        close = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.5)
        raise UserError(
            f"no published robustness of {unknown[0]!r}; "
            + (f"the closest are {', '.join(close)}. All: " if close else "")
            + ", ".join(known)
        )
    return [row for row in rows if "all" in asked or row.name in asked]
