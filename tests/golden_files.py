"""The recorded networks of the folder ``shared/golden``."""

import importlib.util
from pathlib import Path
from types import ModuleType

import torch
from pytest import mark, param
from shared_folder import NO_SHARED, SHARED

from gcp_mm.conversion import Conversion, convert

_MODELS = "golden/models"


def load_fill(shared: Path) -> ModuleType:
    """Import the recipe that the recorded weights and images follow."""
    spec = importlib.util.spec_from_file_location("golden_fill", shared / "golden/fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded_weights(shared: Path, network: str) -> Conversion:
    """Convert what the original scripts save of a network, but for the optimizer's state."""
    fill = load_fill(shared)
    _, shapes = fill.read_keys(recorded(shared, network, ".json"))
    weights = {f"module.{n}": torch.from_numpy(array) for n, array in fill.fill(shapes).items()}
    return convert({"state_dict": weights})


def recorded(shared: Path, network: str, suffix: str) -> Path:
    """Return the path of a recorded network: its names (.json) or its numbers (.npz)."""
    return shared / _MODELS / (network + suffix)


def recorded_networks() -> list:
    """Enumerate the networks in the folder, or one skipped parameter where it is absent."""
    names = sorted(path.stem for path in SHARED.glob(f"{_MODELS}/*.npz"))
    return names or [param(None, marks=mark.skip(reason=NO_SHARED), id="absent")]
