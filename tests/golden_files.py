"""The recorded networks of the folder ``shared/golden``."""

import functools
import importlib.util
import math
from pathlib import Path
from types import ModuleType

import torch
from pytest import mark, param
from shared_folder import NO_SHARED, SHARED

from gcp_mm.conversion import Conversion, convert

_MODELS = "golden/models"
# Numbers of a tensor that is kept for the next network: the classifier behind 256 channels, which
# three of them have, takes longer to draw than most whole networks.
_LARGE = 20_000_000


@functools.cache
def load_fill(shared: Path) -> ModuleType:
    """Import the recipe that the recorded weights and images follow."""
    spec = importlib.util.spec_from_file_location("golden_fill", shared / "golden/fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(1)
def _drawn(shared: Path, name: str, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """Return a tensor of recorded networks, which depends on its name and shape alone."""
    return torch.from_numpy(load_fill(shared).fill_one(name, shape, dtype))


def recorded_weights(shared: Path, network: str) -> Conversion:
    """Convert what the original scripts save of a network, but for the optimizer's state."""
    fill = load_fill(shared)
    _, shapes = fill.read_keys(recorded(shared, network, ".json"))
    weights = {}
    for name, (shape, dtype) in shapes.items():
        drawn = _drawn if math.prod(shape) > _LARGE else _drawn.__wrapped__
        weights[f"module.{name}"] = drawn(shared, name, shape, dtype)
    return convert({"state_dict": weights})


def recorded(shared: Path, network: str, suffix: str) -> Path:
    """Return the path of a recorded network: its names (.json) or its numbers (.npz)."""
    return shared / _MODELS / (network + suffix)


def recorded_networks() -> list:
    """Enumerate the networks in the folder, or one skipped parameter where it is absent."""
    names = sorted(path.stem for path in SHARED.glob(f"{_MODELS}/*.npz"))
    return names or [param(None, marks=mark.skip(reason=NO_SHARED), id="absent")]
