"""Checkpoints as ``.safetensors``: tensors and texts, no pickle.

The tensors of ``state_dict`` have their own names, so that every program that reads safetensors
finds them. What else a checkpoint holds (``meta``, the layout for the way back) is JSON in the
file's metadata, one text by entry (:mod:`gcp_mm.checkpoints.tensor_tree`). A file without such
texts is a bare state dict. The format has no checksums; those of this module stand in the metadata
as well.
"""

from __future__ import annotations

import importlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gcp_mm.checkpoints.file_kind import explained, with_size
from gcp_mm.checkpoints.tensor_tree import decode, encode
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

# Marks metadata of this module, with the version of their form.
_MARK, _VERSION = "gcp_mm.checkpoint", "1"
# CRC-32 by tensor. The other texts are JSON, and people add some to describe a file.
_SUMS = "gcp_mm.crc32"
# The order of the entries; "format" is what readers of PyTorch files look for.
_ORDER, _FORMAT = "gcp_mm.entries", {"format": "pt"}


def load_safetensors(path: Path, map_location: Any = None) -> dict[str, Any]:
    """Load a file; the tensors do not depend on it afterwards.

    ``map_location`` None is the CPU: the file does not say where its tensors were.
    """
    library = _library("safetensors")
    with (
        explained(path),
        library.safe_open(str(path), framework="pt", device="cpu") as file,
    ):
        texts = file.metadata() or {}
        # They are views of the mapped file, which may be overwritten later.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    _check_sums(path, texts, tensors)
    device = _device(map_location)
    tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
    if _MARK not in texts:
        return tensors
    try:
        return _content(texts, tensors)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the metadata of {with_size(path)} do not fit its tensors ({type(error).__name__}: "
            f"{error}): another program changed the file, or a later version of gcp_mm wrote it. "
            "Make it again, or install that version"
        ) from error


def safetensors_bytes(checkpoint: Mapping[str, Any]) -> bytes:
    """Serialise a checkpoint, for :func:`load_safetensors` equal in bit, key, order and type.

    Of a bare state dict, tensors and names alone come back.
    """
    library = _library("safetensors.torch")
    tensors: dict[str, Tensor] = {}
    texts = dict(_FORMAT)
    if isinstance(checkpoint.get("state_dict"), Mapping):
        texts |= {_MARK: _VERSION, _ORDER: json.dumps(list(checkpoint)), _SUMS: ""}
        for name, value in checkpoint.items():
            weights = name == "state_dict"
            texts[f"gcp_mm.{name}" if name in texts else name] = json.dumps(
                encode(value, tensors, "" if weights else name, inline=not weights)
            )
    elif other := [name for name, value in checkpoint.items() if not isinstance(value, Tensor)]:
        raise UserError(
            f"entries of the state dict that are no tensors: {abbreviate(other)}; a .safetensors "
            "file of weights alone has no place for them: write a .pth"
        )
    else:
        tensors = dict(checkpoint)
    try:
        copies = {name: _copy(tensor) for name, tensor in tensors.items()}
        texts[_SUMS] = json.dumps(_sums(copies))
        return library.save(copies, texts)
    except (KeyError, ValueError, RuntimeError) as error:
        kinds = sorted({str(tensor.dtype) for tensor in tensors.values()})
        raise UserError(
            f"the tensors cannot be written as .safetensors ({error}; the file has "
            f"{', '.join(kinds)}): the format has dense tensors of the usual kinds of numbers "
            "alone. Write a .pth instead"
        ) from error


def _content(texts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Rebuild a checkpoint out of the texts of this module."""
    if texts[_MARK] != _VERSION:
        raise ValueError(f"form {texts[_MARK]!r} instead of {_VERSION!r}")
    left = set(tensors)
    content = {}
    for name in json.loads(texts[_ORDER]):
        text = texts[own if (own := f"gcp_mm.{name}") in texts else name]
        content[name] = decode(json.loads(text), tensors, left)
    if left:
        raise ValueError(f"{min(left)} is not in the metadata")
    return content


def _copy(tensor: Tensor) -> Tensor:
    """Copy a tensor: the library refuses those that share memory or are not contiguous."""
    if tensor.layout != torch.strided:
        raise ValueError(f"a tensor of layout {tensor.layout}")
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _sums(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Compute the CRC-32 of each tensor, with its kind and shape."""
    sums = {}
    for name, tensor in tensors.items():
        begin = zlib.crc32(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        numbers = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
        sums[name] = f"{zlib.crc32(numbers.data, begin):08x}"
    return sums


def _check_sums(path: Path, texts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Compare the content of a file with the checksums in it, if it has any."""
    if not texts.get(_SUMS):
        return
    try:
        recorded = json.loads(texts[_SUMS])
    except ValueError:
        recorded = {}
    found = _sums(tensors)
    if recorded == found:
        return
    listed = recorded if isinstance(recorded, dict) else {}
    wrong = [name for name in found if found[name] != listed.get(name)]
    raise UserError(
        f"{with_size(path)} is damaged: "
        f"{abbreviate(wrong) or 'the list of checksums'} does not have the checksum that was "
        "written with it. Use an earlier checkpoint or fetch the file again; if another program "
        "changed it, remove 'gcp_mm.crc32' from its metadata"
    )


def _device(map_location: Any) -> torch.device:
    """Say where ``torch.load`` would put a tensor that was saved on the CPU."""
    # A device is callable, too.
    if not isinstance(map_location, str | torch.device | None):
        if isinstance(map_location, Mapping):
            map_location = map_location.get("cpu")
        else:
            storage = map_location(torch.empty(0).untyped_storage(), "cpu")
            map_location = None if storage is None else storage.device
    return torch.device("cpu" if map_location is None else map_location)


def _library(name: str) -> ModuleType:
    """Import the package, which is not needed for anything else."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f".safetensors files need the package safetensors ({error}): pip install safetensors"
        ) from error
