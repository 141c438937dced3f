"""Nested plain data with tensors in it, as JSON and a flat dict of tensors.

A safetensors file holds named tensors and texts. What a checkpoint has around them (an epoch, the
layout of the source, the optimizer's state) is written as JSON, in which ``{"$tensor": NAME}``
stands for a tensor of the file. Nothing but containers, numbers, texts and tensors comes out of
it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError

# Kinds of numbers that JSON holds exactly; a tensor with one number of them needs no place of its
# own in the file.
_DTYPES = {
    name: getattr(torch, name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "bool")
}


def encode(value: Any, tensors: dict[str, Tensor], name: str, inline: bool = True) -> Any:
    """Replace the tensors of nested data by their names, which go into ``tensors``.

    What is in a value is called ``name/key``. With ``inline``, tensors of one number stay in it.
    """
    if isinstance(value, Tensor):
        return _encode_tensor(value, tensors, name, inline)
    if value is None or type(value) in (bool, int, float, str):
        return value
    inside = f"{name}/" if name else ""
    if isinstance(value, list | tuple):
        items = [encode(item, tensors, f"{inside}{i}", inline) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if not isinstance(value, Mapping):
        raise UserError(
            f"entry {name!r} is a {type(value).__module__}.{type(value).__name__}, which a "
            ".safetensors file cannot hold; make it a number, a text or a tensor, or write a .pth"
        )
    pairs = [
        (encode(key, tensors, name), encode(item, tensors, f"{inside}{key}", inline))
        for key, item in value.items()
    ]
    if isinstance(value, OrderedDict):
        # torch keeps the versions of the modules there.
        attribute = encode(getattr(value, "_metadata", None), tensors, f"{inside}_metadata")
        return {"$ordered": pairs, "metadata": attribute}
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return dict(pairs)
    return {"$items": pairs}


def _encode_tensor(value: Tensor, tensors: dict[str, Tensor], name: str, inline: bool) -> dict:
    kind = str(value.dtype).removeprefix("torch.")
    if isinstance(value, nn.Parameter):
        plain = _encode_tensor(value.detach(), tensors, name, inline)
        return {"$parameter": plain, "requires_grad": value.requires_grad}
    if inline and value.layout == torch.strided and value.numel() == 1 and kind in _DTYPES:
        return {"$number": value.item(), "dtype": kind, "shape": list(value.shape)}
    if name in tensors:
        raise UserError(f"two tensors of the file would be called {name!r}; rename one of them")
    tensors[name] = value
    return {"$tensor": name}


def decode(data: Any, tensors: Mapping[str, Tensor], left: set[str]) -> Any:
    """Put tensors back into nested data: the inverse of :func:`encode`.

    Names that are used are taken out of ``left``. Other data raise whatever their form leads to.
    """
    if isinstance(data, list):
        return [decode(item, tensors, left) for item in data]
    if not isinstance(data, dict):
        return data
    tag = next((key for key in data if key.startswith("$")), None)
    if tag is None:
        return {key: decode(item, tensors, left) for key, item in data.items()}
    content = data[tag]
    if tag == "$tensor":
        left.discard(content)
        return tensors[content]
    if tag == "$parameter":
        return nn.Parameter(decode(content, tensors, left), bool(data["requires_grad"]))
    if tag == "$number":
        return torch.tensor(content, dtype=_DTYPES[data["dtype"]]).reshape(data["shape"])
    if tag == "$tuple":
        return tuple(decode(item, tensors, left) for item in content)
    if tag not in ("$items", "$ordered"):
        raise ValueError(f"unknown entry {tag!r}")
    pairs = [(decode(key, tensors, left), decode(item, tensors, left)) for key, item in content]
    if tag == "$items":
        return dict(pairs)
    # torch sets an attribute that the class does not declare.
    ordered: Any = OrderedDict(pairs)
    if data["metadata"] is not None:
        ordered._metadata = decode(data["metadata"], tensors, left)
    return ordered
