"""The published robustness of networks on ImageNet-C and ImageNet-P."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from gcp_mm.errors import UserError
from gcp_mm.zoo.rows import zoo_root

#: The published means, in the order of the paper's table.
MEANS = ("mCE", "relative mCE", "mFP", "mT5D")


@dataclass(frozen=True)
class PublishedRobustness:
    """A row of the published table; ``configs/imagenet/robustness.yml`` has the sources.

    Attributes:
        name: That of the row of the model zoo, or ``torchvision_`` and that of the network.
        means: mCE, relative mCE, mFP (that is mFR) and mT5D in percent of AlexNet's.
        corruption_errors: CE by corruption in percent, where it was published.
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
