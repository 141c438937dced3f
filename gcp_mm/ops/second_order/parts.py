"""What the parts of a second-order pooling have in common, and how they are named.

A part is a small module with one equation. Parts are found by name, so that a config, a command
line or a checkpoint's description can say ``dict(type="matrix_power", alpha=0.5)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TypeVar, cast

from torch import Tensor, nn

Kind = TypeVar("Kind", bound="Part")


class Part(nn.Module):
    """A part of a second-order pooling; ``name`` registers it with its kind."""

    kind = "part"
    _found: dict[str, dict[str, type[Part]]] = {}

    def __init_subclass__(cls, name: str = "", **kwargs: object) -> None:
        """Register the class under its kind; a base without a name is not registered."""
        super().__init_subclass__(**kwargs)
        if name:
            cls._found.setdefault(cls.kind, {})[name] = cls

    def __init__(self) -> None:
        # Without the arguments that a module would take and forget.
        super().__init__()

    def extra_repr(self) -> str:
        """Show the settings, which the module keeps under the names of its arguments."""
        settings = inspect.signature(type(self).__init__).parameters
        shown = (name for name in settings if name != "self" and hasattr(self, name))
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)


Spec = str | Mapping | Part


class Representation(Part):
    """A matrix of the features, given by a factor: M = Y Y^T."""

    kind = "representation"

    def forward(self, x: Tensor) -> Tensor:
        """Return the factor Y, of shape (B, D, N), of features (B, C, N)."""
        raise NotImplementedError

    def size(self, channels: int) -> int:
        """Return D, the rows of the matrix, for C channels."""
        return channels


class Normalization(Part):
    """A function of matrices (B, D, D)."""

    kind = "normalization"

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the function of matrices of shape (B, D, D)."""
        raise NotImplementedError

    def of_factor(self, factor: Tensor) -> Tensor:
        """Return the function of ``factor @ factor.mT``, for factors of shape (B, D, N).

        Functions that can be computed on the smaller matrix ``factor.mT @ factor`` do so if N < D.
        """
        return self(factor @ factor.mT)


class Vectorization(Part):
    """Numbers of a matrix (B, D, D) as a vector."""

    kind = "vectorization"

    def forward(self, matrix: Tensor) -> Tensor:
        """Return vectors (B, K) of matrices (B, D, D)."""
        raise NotImplementedError

    def length(self, size: int) -> int:
        """Return K for matrices with D rows."""
        raise NotImplementedError


class VectorNormalization(Part):
    """A function of vectors (B, K)."""

    kind = "vector normalization"

    def forward(self, vector: Tensor) -> Tensor:
        """Return the function of vectors (B, K)."""
        raise NotImplementedError


def check_positive(name: str, value: float) -> float:
    """Return a number larger than 0 as float, or raise a ValueError that calls it ``name``."""
    if not value > 0:
        raise ValueError(f"{name} must be larger than 0, got {value!r}")
    return float(value)


def check_count(name: str, value: int, least: int = 1) -> int:
    """Return an integer of at least ``least``, or raise a ValueError that calls it ``name``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    return int(value)


def names_of(kind: type[Part]) -> list[str]:
    """Return the names of the parts of a kind."""
    return sorted(Part._found.get(kind.kind, {}))


def build_part(kind: type[Kind], spec: Spec, size: int | None = None) -> Kind:
    """Build a part from its name, or from a dict with its name as ``type`` and its arguments.

    Args:
        kind: `Representation`, `Normalization`, `Vectorization` or `VectorNormalization`.
        spec: The name, the dict, or a part that is built already.
        size: Rows D of the matrices, given to parts with an argument ``size`` that the dict lacks.

    Returns:
        The part.

    Raises:
        ValueError: If no part has that name, an argument does not exist or one is missing.
    """
    if isinstance(spec, Part):
        if not isinstance(spec, kind):
            raise ValueError(f"{type(spec).__name__} is no {kind.kind}")
        return spec
    settings = dict(spec) if isinstance(spec, Mapping) else {"type": spec}
    name = settings.pop("type", None)
    found = Part._found.get(kind.kind, {})
    if not isinstance(name, str) or name not in found:
        choices = ", ".join(repr(choice) for choice in names_of(kind))
        raise ValueError(f"unknown {kind.kind} {name!r}; choose one of {choices}")
    part = found[name]
    known = [key for key in inspect.signature(part.__init__).parameters if key != "self"]
    if "size" in known and size is not None:
        settings.setdefault("size", size)
    if unknown := [key for key in settings if key not in known]:
        takes = ", ".join(known) or "no arguments"
        raise ValueError(f"{kind.kind} {name!r} has no argument {unknown[0]!r}; it takes {takes}")
    try:
        return cast(Kind, part(**settings))
    except TypeError as error:
        raise ValueError(f"{kind.kind} {name!r}: {error}") from None


def build_parts(
    kind: type[Kind], specs: Spec | Sequence[Spec] | None, size: int | None = None
) -> list[Kind]:
    """Build one part, several, which are applied in order, or none; see :func:`build_part`.

    Raises:
        ValueError: As there, or if no normalization is named: 'none' leaves the matrix.
    """
    if isinstance(specs, (str, Mapping, Part)):
        return [build_part(kind, specs, size)]
    if kind is Normalization and not specs:
        raise ValueError("a normalization is needed; 'none' leaves the matrix as it is")
    return [build_part(kind, spec, size) for spec in specs or ()]
