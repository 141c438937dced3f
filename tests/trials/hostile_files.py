"""Files that would run a command if anything unpickled or evaluated them, at every door.

A case holds if the command was not run and the door left no traceback.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from doors import OPEN_TO_WEIGHTS, TEXTS, WEIGHTS
from forked import run_forked
from inputs import Inputs
from outcome import Outcome


class _Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple:
        return self._call


def _calls(marker: Path) -> dict[str, object]:
    """Return objects whose unpickling makes the marker, in different ways."""
    import functools
    import os
    import subprocess

    text = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": _Calls(os.system, f"touch '{marker}'"),
        "eval": _Calls(eval, text),
        "exec": _Calls(exec, text),
        "subprocess": _Calls(subprocess.call, ["touch", str(marker)]),
        "partial": _Calls(functools.partial(os.mknod, str(marker))),
        "mkdir": _Calls(os.mkdir, str(marker)),
    }


def _text(marker: Path) -> str:
    return f"from pathlib import Path\nPath({str(marker)!r}).touch()\nmodel = dict(type='X')\n"


def _checkpoints(marker: Path, valid: Path) -> dict[str, tuple[str, bytes]]:
    """Return the hostile weights by name: ending and content."""
    import numpy as np
    import torch

    def saved(content: object, zipped: bool = True) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
        return buffer.getvalue()

    weights = torch.load(valid, map_location="cpu", weights_only=True)["state_dict"]
    found = {}
    for name, call in _calls(marker).items():
        found[f"{name} in meta"] = ".pth", saved({"meta": {"x": call}, "state_dict": weights})
        found[f"{name}, legacy"] = ".pth", saved({"state_dict": weights, "x": call}, zipped=False)
        found[f"{name}, plain pickle"] = ".pth", pickle.dumps({"state_dict": weights, "x": call})
        found[f"{name} as .safetensors"] = ".safetensors", saved({"state_dict": weights, "x": call})
    call = _calls(marker)["os.system"]
    hub = {"log_scalars": {}, "runtime_info": {"x": call}, "resumed_keys": {}}
    found["in message_hub"] = ".pth", saved({"message_hub": hub, "state_dict": weights})
    found["in optimizer"] = (
        ".pth",
        saved({"optimizer": {"state": {0: call}}, "state_dict": weights}),
    )
    found["in an object array"] = (
        ".pth",
        saved({"meta": {"x": np.array([call], dtype=object)}, "state_dict": weights}),
    )
    for key in ("cfg", "config"):
        hub = {
            "log_scalars": {},
            "runtime_info": {key: _text(marker), "epoch": 1, "iter": 4},
            "resumed_keys": {key: True, "epoch": True, "iter": True},
        }
        found[f"text in meta.{key}"] = (
            ".pth",
            saved({"meta": {key: _text(marker), "epoch": 1, "iter": 4}, "state_dict": weights}),
        )
        found[f"text in message_hub {key}"] = (
            ".pth",
            saved({"meta": {"epoch": 1, "iter": 4}, "message_hub": hub, "state_dict": weights}),
        )
        header = json.dumps({"__metadata__": {key: _text(marker), "meta": _text(marker)}}).encode()
        found[f"text in safetensors {key}"] = (
            ".safetensors",
            struct.pack("<Q", len(header)) + header,
        )
    return found


def _texts(marker: Path) -> dict[str, tuple[str, bytes]]:
    """Return the hostile settings by name: ending and content."""
    import numpy as np

    tag = f"!!python/object/apply:os.system ['touch {marker}']"
    found = {
        "yaml tag": (".yml", f"model:\n  type: {tag}\n".encode()),
        "yaml tag, .yaml": (".yaml", f"work_dir: {tag}\n".encode()),
        "yaml name": (
            ".yml",
            f"model: !!python/object/new:os.system ['touch {marker}']\n".encode(),
        ),
        "json of python text": (".json", json.dumps({"model": _text(marker)}).encode()),
        "python text in .json": (".json", _text(marker).encode()),
        "python text in .txt": (".txt", _text(marker).encode()),
        "python text in .jsonl": (".jsonl", _text(marker).encode()),
        "template in json": (".json", (b'{"a": "{{ fileDirname }}", "b": "{{ $X:1 }}"}')),
    }
    call = _calls(marker)["os.system"]
    for ending in (".json", ".txt", ".pkl", ".npz", ".jsonl"):
        found[f"pickle in {ending}"] = ending, pickle.dumps({"cells": call})
    buffer = io.BytesIO()
    np.savez(buffer, top5=np.array([call], dtype=object))
    found["object array in .npz"] = ".npz", buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(call))
    found["archive in .json"] = ".json", buffer.getvalue()
    return found


def run(inputs: Inputs, seconds: float, seed: int) -> int:
    """Bring every file to every door of its kind, in random order while there is time.

    Args:
        inputs: See :func:`inputs.make_inputs`.
        seconds: Time to spend.
        seed: Order of the pairs.

    Returns:
        Exit status.
    """
    folder = inputs.folder / "hostile"
    folder.mkdir()
    # A name without blanks, because some of the calls go through a shell.
    marker = folder / "executed"
    outcome = Outcome("hostile files")
    pairs = [
        (name, content, door)
        for files, doors in (
            (_checkpoints(marker, inputs.checkpoint), WEIGHTS),
            (_texts(marker), TEXTS),
        )
        for name, content in files.items()
        for door in doors.items()
    ]
    random.Random(seed).shuffle(pairs)
    end = time.monotonic() + seconds
    # A door that refuses everything would hold.
    for name in OPEN_TO_WEIGHTS:
        out = folder / name.replace(" ", "_")
        out.mkdir()
        ended = run_forked(WEIGHTS[name](inputs, inputs.checkpoint, out))
        if ended.code == 0:
            outcome.held()
        else:
            outcome.failed(f"the intact weights at {name}", ended.last_line)
    for number, (name, (ending, content), (door_name, door)) in enumerate(pairs):
        if time.monotonic() > end:
            break
        out = folder / str(number)
        out.mkdir()
        file = out / f"hostile{ending}"
        file.write_bytes(content)
        ended = run_forked(door(inputs, file, out))
        case = f"{name} at {door_name}"
        if marker.exists():
            outcome.failed(case, "was executed")
            marker.rmdir() if marker.is_dir() else marker.unlink()
        elif ended.crashed:
            outcome.failed(case, f"crashed: {ended.last_line}")
        else:
            outcome.held()
    return outcome.report()
