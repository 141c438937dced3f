"""Atomic creation of a generated folder, guarded by a manifest."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gcp_mm.errors import FolderExistsError

MANIFEST_NAME = "manifest.json"


def build_folder(
    root: str | os.PathLike[str],
    request: dict[str, Any],
    build: Callable[[Path], dict[str, Any]],
) -> dict[str, Any]:
    """Create `root` with `build`, completely or not at all.

    The content is built in a temporary sibling of `root` and renamed to `root` when complete, so
    that an interrupted run never leaves a partial data set under the final name. A
    `manifest.json` in the folder records `request` and the counts; a later call with an equal
    request finds it and returns without writing.
    """
    root = Path(root)
    request = json.loads(json.dumps(request))
    if os.path.lexists(root):
        return _existing_counts(root, request)
    root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        # mkdtemp is readable by its owner only; a folder below it has the usual permissions.
        folder = scratch / root.name
        folder.mkdir()
        counts = json.loads(json.dumps(build(folder)))
        manifest = {"request": request, "counts": counts}
        text = json.dumps(manifest, indent=2) + "\n"
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
        try:
            folder.rename(root)
        except OSError:
            # Another process may have finished the same data set in the meantime.
            if not os.path.lexists(root):
                raise
            return _existing_counts(root, request)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return counts


def _existing_counts(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of an existing folder, or refuse it if `request` did not make it."""
    advice = "Delete this folder or choose another one."
    try:
        manifest = json.loads((root / MANIFEST_NAME).read_text(encoding="utf-8"))
        found, counts = dict(manifest["request"]), dict(manifest["counts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderExistsError(
            f"{root} exists but holds no readable {MANIFEST_NAME} of a demo data set. {advice}"
        ) from error
    differences = [
        f"{key} is {found.get(key)!r} there but {request.get(key)!r} was requested"
        for key in sorted(found.keys() | request.keys())
        if found.get(key) != request.get(key)
    ]
    if differences:
        raise FolderExistsError(
            f"{root} holds a demo data set made differently: {'; '.join(differences)}. {advice}"
        )
    return counts
