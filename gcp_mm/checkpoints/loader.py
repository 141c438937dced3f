"""Load checkpoints without executing what is in them.

mmengine 0.10 calls ``torch.load`` with its defaults. Under torch >= 2.6 that refuses every
training checkpoint, because it holds a ``HistoryBuffer``
(https://github.com/open-mmlab/mmengine/issues/1655), and its download path still unpickles
anything. The loaders here replace both through ``CheckpointLoader.register_scheme``.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_dist_info
from mmengine.runner import checkpoint as upstream
from torch import Tensor

from gcp_mm.checkpoints import file_kind, http_file, hub
from gcp_mm.checkpoints.safetensors_file import load_safetensors
from gcp_mm.checkpoints.without_code import allowed_globals, plain, without_code
from gcp_mm.errors import CheckpointNotFoundError, UnsafeCheckpointError, UserError
from gcp_mm.files import why_absent

UNSAFE_SWITCH = "GCP_MM_ALLOW_UNSAFE_CHECKPOINTS"


def find_checkpoint(filename: str | Path) -> Path:
    """Find a checkpoint on disk, or fetch it from the Hugging Face Hub."""
    if hub.is_address(filename):
        return hub.download(str(filename))
    path, several, found = Path(filename), None, False
    # Below a folder that may not be looked into, or of a ~user that there is not.
    with contextlib.suppress(OSError, RuntimeError):
        path = path.expanduser()
        # Nothing is no folder, although Path takes it for this one.
        several = file_kind.several_files(path) if filename else None
        found = path.is_file()
    if several:
        raise CheckpointNotFoundError(f"checkpoint {str(path)!r} {several}")
    if not found:
        if "://" in str(filename):
            raise CheckpointNotFoundError(
                f"checkpoint {str(filename)!r} is an address, and only files and "
                "hf://OWNER/NAME/FILE are read here: fetch it, and give its path"
            )
        raise CheckpointNotFoundError(
            f"checkpoint {str(path)!r} {why_absent(path.absolute())} (working folder: "
            f"{Path.cwd()}); correct the path, or train the model first: training writes "
            "work_dirs/<config>/epoch_N.pth"
        )
    return path


def load_from_file(filename: str | Path, map_location: Any = None) -> Any:
    """Load a file, or ``hf://OWNER/NAME/FILE``: tensors and plain data, and nothing is executed.

    A file is read as safetensors if its name ends so, and as one of ``torch.save`` otherwise.
    Setting the environment variable ``GCP_MM_ALLOW_UNSAFE_CHECKPOINTS=1`` allows arbitrary
    pickles, for files whose origin is trusted.
    """
    path = find_checkpoint(filename)
    if file_kind.is_safetensors(path):
        return load_safetensors(path, map_location)
    with file_kind.explained(path):
        loaded = _load(path, map_location)
    return loaded


def _load(path: Path, map_location: Any) -> Any:
    """Load a file strictly, or as the user allows."""
    # On the meta device nothing but names and shapes is asked for.
    if str(map_location) != "meta":
        file_kind.check_archive(path)
    try:
        with torch.serialization.safe_globals(allowed_globals()):
            loaded = plain(torch.load(path, map_location=map_location, weights_only=True))
        _check_size(loaded, path)
        return loaded
    except pickle.UnpicklingError as error:
        if not file_kind.is_torch(path):
            raise
        if os.environ.get(UNSAFE_SWITCH) != "1":
            raise UnsafeCheckpointError(
                f"checkpoint {str(path)!r} was refused, and nothing in it was executed: it holds "
                f"more than tensors and plain data ({_first_reason(error)}). If you trust its "
                f"origin, set {UNSAFE_SWITCH}=1 and load it once to save its state_dict alone"
            ) from error
    warnings.warn(f"{UNSAFE_SWITCH}=1: unpickling {path} without any check", stacklevel=3)
    return torch.load(path, map_location=map_location, weights_only=False)


def _check_size(loaded: Any, path: Path) -> None:
    """Refuse tensors that a pickle made of a size alone: their numbers are not in the file."""
    weights = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    size = path.stat().st_size
    for name, tensor in weights.items() if isinstance(weights, dict) else ():
        if not isinstance(tensor, Tensor) or tensor.is_nested or tensor.layout != torch.strided:
            continue
        if not tensor.is_meta and tensor.untyped_storage().nbytes() > size:
            raise UserError(
                f"{file_kind.with_size(path)}: {name!r} of the shape {tuple(tensor.shape)} has "
                "more numbers than are in the file. Save its state_dict anew where it comes from"
            )


def _first_reason(error: pickle.UnpicklingError) -> str:
    """Pick the sentence that names the offending object out of torch's long message."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    lines = [line.strip() for line in text.splitlines()] or [type(error).__name__]
    named = [line for line in lines if "GLOBAL" in line]
    return (named or lines)[0].split(". Please use")[0]


def load_from_url(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint into torch's hub folder and load it safely.

    Only the first process of a node downloads; see :mod:`gcp_mm.checkpoints.http_file`.
    """
    rank, world_size = get_dist_info()
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    target, fresh = None, False
    try:
        if local_rank == 0:
            target, fresh = http_file.fetch(filename)
    finally:
        # Also after a failure, or the other processes would wait for ever.
        if world_size > 1:
            torch.distributed.barrier()
    target = target or http_file.place(filename)
    try:
        return load_from_file(target, map_location)
    except UserError:
        # A web page in place of the file, say; do not keep it.
        if fresh:
            http_file.forget(target)
        raise


def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load ``torchvision://NAME``, the weights that torchvision publishes for a model."""
    name = filename.partition("://")[2]
    urls = upstream.get_torchvision_models()
    if name not in urls:
        raise UserError(f"torchvision publishes no weights called {name!r}; see torchvision.models")
    return load_from_url(urls[name], map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load ``open-mmlab://NAME`` or ``mmcls://NAME`` from where mmengine's tables say it is."""
    scheme, _, name = filename.partition("://")
    if scheme == "mmcls":
        places = upstream.get_mmcls_models()
    else:
        places = upstream.get_external_models()
        name = upstream.get_deprecated_model_names().get(name, name)
    if name not in places:
        raise UserError(f"mmengine knows no weights called {filename!r}; give a path or an address")
    place = places[name]
    if "://" in place:
        loaded = load_from_url(place, map_location)
    else:
        loaded = load_from_file(Path(upstream._get_mmengine_home()) / place, map_location)
    return upstream._process_mmcls_checkpoint(loaded) if scheme == "mmcls" else loaded


def register_loaders() -> None:
    """Make mmengine's ``CheckpointLoader`` use the loaders of this module."""
    loaders: dict[str | tuple[str, ...], Callable] = {
        ("", hub.SCHEME): load_from_file,
        ("http://", "https://"): load_from_url,
        ("modelzoo://", "torchvision://"): load_from_torchvision,
        ("open-mmlab://", "openmmlab://", "mmcls://"): load_from_openmmlab,
        # mmengine's own: torch.load is strict by itself since 2.6.
        "pavi://": upstream.load_from_pavi,
        (r"(\S+\:)?s3://", r"(\S+\:)?petrel://"): upstream.load_from_ceph,
    }
    for prefixes, loader in loaders.items():
        upstream.CheckpointLoader.register_scheme(prefixes, without_code(loader), force=True)


register_loaders()
