"""Names of tensors in two layouts, related by a table that is read in both directions.

A rule may say that the two layouts store a tensor in different forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import isqrt

from torch import Tensor, nn

from gcp_mm.errors import UserError


@dataclass(frozen=True)
class TensorForm:
    """A change of shape or order that keeps every value, to mmpretrain's form and back."""

    convert: Callable[[Tensor], Tensor]
    restore: Callable[[Tensor], Tensor]

    def apply(self, tensor: Tensor, inverse: bool = False) -> Tensor:
        """Change a tensor."""
        change = self.restore if inverse else self.convert
        return keep_parameter(tensor, change(tensor.detach()).contiguous())


def keep_parameter(old: Tensor, new: Tensor) -> Tensor:
    """Make a Parameter in place of one, which old files of torchvision hold."""
    return nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new


# A factor for each channel: (C, 1, 1) in the source, (C,) in mmpretrain.
CHANNEL_VECTOR = TensorForm(
    convert=lambda tensor: tensor.flatten(), restore=lambda tensor: tensor[:, None, None]
)

# A table over pairs of positions: (L * L,) in the source, (L, L) in mmpretrain.
POSITION_PAIRS = TensorForm(
    convert=lambda tensor: tensor.unflatten(0, (isqrt(len(tensor)), -1)),
    restore=lambda tensor: tensor.flatten(),
)

# The channels of 2 x 2 neighbours in one vector: ordered (column, row, channel) in the source,
# where slices are concatenated, and (channel, row, column) in mmpretrain, which has nn.Unfold.
MERGED_PATCH = TensorForm(
    convert=lambda tensor: tensor.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3),
    restore=lambda tensor: tensor.unflatten(-1, (-1, 2, 2)).transpose(-1, -3).flatten(-3),
)


@dataclass(frozen=True)
class Rule:
    """One line of a table of names.

    Attributes:
        source: Name in the source, for example ``'stage2.{block}.branch1.0.{tensor}'``.
        target: Name in mmpretrain, with the same placeholders. ``{tensor}`` stands for the last
            part of a name (``weight``, ``running_mean``), every other placeholder for a number.
        form: How the tensor itself changes; None if it does not.
    """

    source: str
    target: str
    form: TensorForm | None = None

    def rename(self, name: str, inverse: bool = False) -> str | None:
        """Give the other name of a tensor, or None if the rule is not about it."""
        old, new = (self.target, self.source) if inverse else (self.source, self.target)
        match = _compile(old).fullmatch(name)
        return new.format(**match.groupdict()) if match else None


@cache
def _compile(template: str) -> re.Pattern:
    """Make a pattern with one named group for each placeholder of a :class:`Rule`."""
    pattern = re.escape(template).replace(r"\{tensor\}", r"(?P<tensor>\w+)")
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", pattern))


def rename_all(
    names: Iterable[str], rules: tuple[Rule, ...], inverse: bool = False
) -> dict[str, str]:
    """Rename every tensor, by exactly one rule each and to names that differ."""
    renamed: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in names:
        found = [new for rule in rules if (new := rule.rename(name, inverse)) is not None]
        if len(found) != 1:
            raise UserError(
                f"{len(found)} rules are about the tensor {name!r}, expected one; correct the "
                "table of its family in gcp_mm/conversion/families"
            )
        if found[0] in taken:
            raise UserError(f"{taken[found[0]]!r} and {name!r} would both become {found[0]!r}")
        taken[found[0]] = name
        renamed[name] = found[0]
    return renamed


def translate(
    tensors: Mapping[str, Tensor], rules: tuple[Rule, ...], inverse: bool = False
) -> dict[str, Tensor]:
    """Bring tensors under the names and into the forms that the other layout has."""
    forms = [rule for rule in rules if rule.form]
    translated = {}
    for name, new in rename_all(tensors, rules, inverse).items():
        found = next((rule.form for rule in forms if rule.rename(name, inverse) == new), None)
        translated[new] = found.apply(tensors[name], inverse) if found else tensors[name]
    return translated
