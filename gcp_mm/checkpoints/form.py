"""What a loaded file has to hold to be the weights of a network, the same at every door.

The right form is not enough: :func:`check_finite` names the weights that are not finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

# Modules may put anything under this name (``nn.Module.get_extra_state``).
_EXTRA_STATE = "_extra_state"
# Numbers of a tensor, beyond which it has to have each of them in the file.
_MANY = 1 << 28


def check_form(
    loaded: Any, filename: str | Path | None = None, on_meta: bool = False
) -> Mapping[str, Tensor]:
    """Check that a checkpoint holds a state dict of dense real tensors, and return that.

    ``on_meta`` says that it was loaded for names and shapes alone.
    """
    where = "the checkpoint" if filename is None else f"checkpoint {str(filename)!r}"
    if not isinstance(loaded, Mapping):
        raise UserError(
            f"{where} holds a {type(loaded).__name__} instead of a dict: save "
            "model.state_dict(), or a checkpoint with the entry state_dict"
        )
    for part in ("meta", "message_hub"):
        if "state_dict" in loaded and not isinstance(loaded.get(part, {}), Mapping):
            raise UserError(
                f"{where}: the entry {part!r} is a {type(loaded[part]).__name__}, expected a dict. "
                "Use a checkpoint as mmengine writes it, or its state_dict alone"
            )
    _check_classes(loaded, where)
    weights = loaded.get("state_dict", loaded)
    if not isinstance(weights, Mapping) or not weights:
        kind = type(weights).__name__
        raise UserError(
            f"{where}: its state_dict is a {kind}{' without entries' if not weights else ''}, "
            "expected tensors by name: save model.state_dict()"
        )
    for name, value in weights.items():
        if isinstance(name, str) and name.endswith(_EXTRA_STATE):
            continue
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(f"{where} {_elsewhere(loaded, name, value)}")
        if fault := _tensor_fault(value, on_meta):
            raise UserError(
                f"{where}: {name!r} is {fault}, which no network here has. Load the file where it "
                "was written, and save dense real tensors that hold their numbers"
            )
    return weights


# What mmengine's runner continues a training with; there may be no optimizer.
_TRAINING = {
    "meta": Mapping,
    "meta.epoch": int,
    "meta.iter": int,
    "message_hub": Mapping,
    "message_hub.log_scalars": Mapping,
    "message_hub.runtime_info": Mapping,
    "message_hub.resumed_keys": Mapping,
    "optimizer": Mapping,
}


def check_training(loaded: Mapping[str, Any], filename: str | Path) -> None:
    """Check that a checkpoint has what mmengine's runner continues a training with."""
    for entry, kind in _TRAINING.items():
        part, _, name = entry.partition(".")
        content = loaded.get(part, {} if part == "optimizer" else None)
        if not isinstance(content.get(name) if name else content, kind):
            raise UserError(
                f"checkpoint {str(filename)!r} cannot be continued: its entry {entry!r} is "
                "missing or of another form than mmengine writes. Name another checkpoint of the "
                "run, or start a new one from these weights (--cfg-options "
                f"load_from={filename})"
            )


def _check_classes(loaded: Mapping[str, Any], where: str) -> None:
    """Check the names of the classes, which mmpretrain, mmdet and this package read."""
    meta = loaded.get("meta") if "state_dict" in loaded else None
    described = (meta or {}).get("dataset_meta")
    if described is None:
        return
    classes = described.get("classes") if isinstance(described, Mapping) else 0
    names = classes if isinstance(classes, list | tuple | None) else [0]
    if not all(isinstance(name, str) for name in names or ()):
        raise UserError(
            f"{where}: the entry 'meta.dataset_meta' has to be a dict whose 'classes' are a list "
            "of names. Correct it, or save the state_dict alone"
        )


def _tensor_fault(tensor: Tensor, on_meta: bool) -> str | None:
    """Say why a tensor cannot be the weight of a network, None if it can."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return f"a tensor of the layout {tensor.layout}"
    if tensor.is_quantized:
        return f"quantised ({tensor.dtype})"
    if tensor.is_complex():
        return f"complex ({tensor.dtype})"
    if tensor.is_meta:
        return None if on_meta else "on the meta device and has a shape without numbers"
    # One number can stand for any shape, until something reads it.
    held = tensor.untyped_storage().nbytes()
    if tensor.numel() > _MANY and tensor.numel() * tensor.element_size() > held:
        return f"of the shape {tuple(tensor.shape)}, for which it has {held} bytes"
    return None


def _elsewhere(loaded: Mapping, name: Any, value: Any) -> str:
    """Say that an entry is no tensor, and where the weights may be instead."""
    entry = f"has no state dict: the entry {name!r} is a {type(value).__name__}"
    if "state_dict" in loaded:
        return f"{entry} of its state_dict. Save model.state_dict() with tensors by name"
    nested = [
        str(key)
        for key, part in loaded.items()
        if isinstance(part, Mapping) and part and all(isinstance(t, Tensor) for t in part.values())
    ]
    if nested:
        return (
            f"{entry}. Tensors by name are in {', '.join(map(repr, nested[:4]))}: load the file "
            "with torch.load and save that entry alone"
        )
    return f"{entry}. Save model.state_dict(), or a checkpoint with the entry state_dict"


# Other buffers may be infinite on purpose, such as the mask of an attention.
_STATISTICS = ("running_mean", "running_var")


def weight_names(network: nn.Module) -> list[str]:
    """List the parameters and the running statistics of a network."""
    buffers = [name for name, _ in network.named_buffers() if name.endswith(_STATISTICS)]
    return [name for name, _ in network.named_parameters()] + buffers


def find_not_finite(tensors: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    """List the tensors that hold a NaN or an infinity."""
    return [name for name in names if name in tensors and not _is_finite(tensors[name])]


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # torch has no isfinite for most kinds of eight bits.
    return bool(torch.isfinite(tensor.float() if tensor.itemsize == 1 else tensor).all())


def check_finite(network: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Refuse a file whose weights are not finite: whatever is measured with them is wrong."""
    names = weight_names(network)
    if bad := find_not_finite(weights, names):
        raise UserError(
            f"{str(source)!r}: {len(bad)} of {len(names)} weights are not finite "
            f"({abbreviate(bad)}), as a training leaves them that has diverged. Use an earlier "
            "checkpoint of it, or train again with a smaller learning rate"
        )
