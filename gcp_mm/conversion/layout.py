"""The containers around the weights: what the original scripts and torchvision save."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gcp_mm.checkpoints.coverage import WRAPPERS, weights_of, wrapper_prefix
from gcp_mm.checkpoints.form import check_form
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import TEXT, Kind, ListOf, Maybe, TableOf

# Besides the weights and the optimizer; they are small and kept.
_DETAILS = ("epoch", "arch", "best_acc1", "best_prec1")
_ENTRIES = (*_DETAILS, "state_dict", "optimizer")

# Of names in one another; those of parameters have some dots of their own.
_DEEPEST = 100

# The end of a message about a file that needs no conversion.
CONVERTED = (
    "--weights-only writes its weights alone, as .safetensors or .pth; --to-legacy writes the "
    "original layout of a converted file back"
)


@dataclass
class Layout:
    """How the weights are wrapped, as plain data that can be saved with them.

    Attributes:
        entries: Keys of the file in their order; None if the file is a bare state dict.
        prefix: What every name begins with, such as ``'module.'``, or nothing.
        ordered: Whether the state dict is an ``OrderedDict``.
        metadata: ``_metadata`` of the state dict (versions of its modules), if it has one.
        spellings: Names with another spelling in the file, by the name that the rules have.
        details: The entries that are kept as they are.
    """

    entries: list[str] | None = None
    prefix: str = ""
    ordered: bool = False
    metadata: Mapping[str, Any] | None = None
    spellings: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


# What a file has to say of its layout, as gcp_mm.plain_data compares it.
LAYOUT_FORM = {
    "entries": Maybe(ListOf(TEXT)),
    "prefix": TEXT,
    "ordered": Kind("true or false", lambda value: isinstance(value, bool)),
    "metadata": Maybe({}),
    "spellings": TableOf(TEXT),
    "details": {},
}


def unwrap(checkpoint: Any) -> tuple[dict[str, Tensor], Layout]:
    """Take the weights out of a file of the original scripts, or out of a bare state dict."""
    state_dict = check_form(checkpoint)
    if other := [name for name, value in state_dict.items() if not isinstance(value, Tensor)]:
        raise UserError(f"entries of the state dict that are no tensors: {abbreviate(other)}")
    layout = Layout()
    if "state_dict" in checkpoint:
        layout.entries = list(checkpoint)
        unknown = [str(name) for name in checkpoint if name not in _ENTRIES]
        if "meta" in unknown:
            raise UserError(f"the file is a checkpoint of mmengine already: {CONVERTED}")
        if unknown:
            raise UserError(
                f"the file has entries besides {', '.join(_ENTRIES)}: {abbreviate(unknown)}. It "
                "was not saved by the original scripts; save its state_dict alone"
            )
        layout.details = {name: checkpoint[name] for name in _DETAILS if name in checkpoint}
    layout.prefix = wrapper_prefix(state_dict)
    inner = [name.removeprefix(layout.prefix) for name in state_dict]
    if mixed := [name for name in inner if name.startswith(WRAPPERS)]:
        raise UserError(
            f"some names begin with {mixed[0].partition('.')[0] + '.'!r} and others do not, for "
            f"example {layout.prefix + mixed[0]!r}: save the weights of one network"
        )
    layout.ordered = isinstance(state_dict, OrderedDict)
    layout.metadata = getattr(state_dict, "_metadata", None)
    check_plain({**layout.details, "_metadata": layout.metadata})
    return weights_of({"state_dict": state_dict}), layout


def wrap(state_dict: Mapping[str, Tensor], layout: Layout, optimizer: Any = None) -> dict:
    """Put weights back into their container: the inverse of :func:`unwrap`."""
    container = OrderedDict if layout.ordered else dict
    # torch sets an attribute that no class declares.
    weights: Any = container((layout.prefix + name, value) for name, value in state_dict.items())
    if layout.metadata is not None:
        weights._metadata = layout.metadata
    if layout.entries is None:
        return weights
    values = {**layout.details, "state_dict": weights}
    if optimizer is not None:
        values["optimizer"] = optimizer
    return {name: values[name] for name in layout.entries if name in values}


def check_plain(value: Any, where: str = "") -> None:
    """Check that something loads again with ``weights_only=True`` and nothing allowed besides."""
    if where.count(".") > _DEEPEST:
        raise UserError(f"entry {where[:60]!r}... holds itself, or too many things in one another")
    children: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    elif value is None or isinstance(value, Tensor) or type(value) in (int, float, bool, str):
        return
    else:
        raise UserError(
            f"entry {where!r} is a {type(value).__module__}.{type(value).__name__}, which a safe "
            "file cannot hold; make it a number, a text or a tensor"
        )
    for key, child in children:
        check_plain(child, f"{where}.{key}" if where else str(key))
