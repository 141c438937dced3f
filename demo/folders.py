"""A generated folder that is complete or not there, and says what it was generated from."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gcp_mm.errors import FolderExistsError
from gcp_mm.files import atomic_write
from gcp_mm.plain_data import differences

_MANIFEST = "manifest.json"


def build_folder(
    root: str | os.PathLike[str],
    request: dict[str, Any],
    build: Callable[[Path], dict[str, Any]],
) -> dict[str, Any]:
    """Create `root` with `build` in a temporary sibling, which is renamed when it is complete.

    A `manifest.json` in it records `request` and the counts that `build` returns, both plain data;
    a later call with an equal request finds it and returns the counts without writing.
    """
    root = Path(root)
    if os.path.lexists(root):
        return _existing_counts(root, request)
    root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        # mkdtemp is readable by its owner only; a folder below it has the usual permissions.
        folder = scratch / root.name
        folder.mkdir()
        counts = build(folder)
        text = json.dumps({"request": request, "counts": counts}, indent=2) + "\n"
        atomic_write(folder / _MANIFEST, text)
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
        manifest = json.loads((root / _MANIFEST).read_text(encoding="utf-8"))
        found, counts = dict(manifest["request"]), dict(manifest["counts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderExistsError(
            f"{root} exists but holds no readable {_MANIFEST} of a demo data set. {advice}"
        ) from error
    if different := differences(found, request):
        raise FolderExistsError(
            f"{root} holds a demo data set made differently: {'; '.join(different)}. {advice}"
        )
    return counts
