"""Read what a command has left, so that two runs can be compared part by part."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch


def digests(value: object, path: str = "") -> dict[str, str]:
    """Return one digest for each tensor, and the text of every other value, by dotted key."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    elif isinstance(value, torch.Tensor):
        return {path: hashlib.sha256(value.numpy().tobytes()).hexdigest()}
    else:
        return {path: repr(value)}
    return {
        key: text for name, item in items for key, text in digests(item, f"{path}.{name}").items()
    }


def without_times(value: object) -> object:
    """Leave out what differs from run to run: seconds, dates, paths of the run."""
    if isinstance(value, dict):
        return {
            key: without_times(item)
            for key, item in value.items()
            if not any(word in key for word in ("seconds", "time", "date", "created"))
        }
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def measurement(folder: Path) -> dict:
    """Return the numbers of all files below a folder but those of mmengine's work folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if "vis_data" in path.parts or name.startswith("work/2"):
            continue
        if path.suffix == ".json":
            found[name] = without_times(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            found[name] = [without_times(json.loads(line)) for line in path.open()]
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays.files}
    return found


def first_difference(expected: dict, found: dict) -> str | None:
    """Name the first part of a result that differs."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            if name in expected and name in found:
                return f"{name} differs"
            return f"{name} is {'missing' if name in expected else 'new'}"
    return None
