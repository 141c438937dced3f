"""``manifest.json`` of a tree: what it is made of, and which cells are finished."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.files import abbreviate, atomic_write
from gcp_mm.plain_data import differences
from gcp_mm.robustness.data.seal import SEAL

MANIFEST_NAME = "manifest.json"
FORMAT, VERSION = "gcp_mm corruptions", 1

# What the pixels depend on.
_PACKAGES = {
    "imagenet-c": ("imagecorruptions-imaug", "numpy", "pillow", "scikit-image", "scipy"),
    "imagenet-p": ("av", "numpy", "pillow", "scipy", "torchvision"),
}


def library_versions(dataset: str) -> dict[str, str]:
    """Return the versions of the packages that the pixels depend on."""
    import cv2

    versions = {name: metadata.version(name) for name in _PACKAGES[dataset]}
    return {**versions, "opencv": cv2.__version__}


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Read the manifest of a tree."""
    path = root / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["format"] == FORMAT and content["version"] == VERSION
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} is no manifest of corrupted images: {error}") from error
    if not known:
        raise UserError(f"{str(path)!r} is not version {VERSION} of {FORMAT!r}")
    return content


def find_manifest(root: Path, cells: Mapping[str, Path]) -> dict[str, Any] | None:
    """Find the manifest of the tree, or trees of equal settings, that cells lie in."""
    trees = [root, *(folder.parents[key.count("/")] for key, folder in cells.items())]
    found = {tree: manifest for tree in dict.fromkeys(trees) if (manifest := read_manifest(tree))}
    if not found:
        return None
    (first, content), *others = found.items()
    for tree, other in others:
        if different := differences(_relevant(content), _relevant(other)):
            raise UserError(
                f"{str(first / MANIFEST_NAME)!r} (there) and {str(tree / MANIFEST_NAME)!r} (here) "
                f"are of different trees: {abbreviate(different, 6)}. Evaluate them apart"
            )
    return content


def _relevant(content: Mapping[str, Any]) -> dict[str, Any]:
    """Take the settings that the files depend on."""
    settings = dict(content.get("settings", {}))
    versions = settings.pop("versions", {})
    return {"dataset": content.get("dataset"), **settings, **versions}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Say whether all files of a tree were written with a digest."""
    return bool(content.get("seal") or content.get("settings", {}).get("seal"))


def _is_left_over(path: Path) -> bool:
    """Say whether a file is what a process leaves that is killed while it writes a manifest."""
    return path.name == ".lock" or bool(re.fullmatch(r"\.manifest\.json(\.\d+)?\.part", path.name))


class Manifest:
    """The manifest of a tree that is being made; an existing one of equal settings is continued.

    A folder that holds something else, or a tree of other settings, is refused.
    """

    def __init__(
        self, root: Path, dataset: str, settings: Mapping[str, Any], classes: Sequence[str]
    ) -> None:
        self.path = root / MANIFEST_NAME
        self.content = {
            "format": FORMAT,
            "version": VERSION,
            "dataset": dataset,
            # As JSON gives them back: lists for tuples.
            "settings": json.loads(json.dumps(settings)),
            # Earlier trees do not say how unusual images were read. No setting, so that one of
            # ordinary images is continued.
            "states_reading": True,
            # Nor have their images a digest; of clips it is a setting.
            "seal": SEAL,
            "classes": list(classes),
            "images_per_cell": settings["num_images"],
            "cells": {},
        }
        found = read_manifest(root)
        if found is not None:
            if different := differences(_relevant(found), _relevant(self.content)):
                raise FolderExistsError(
                    f"{str(self.path)!r}: this tree is of other settings: "
                    f"{abbreviate(different, 6)}. Ask for the same, or choose another folder"
                )
            self.content["cells"] = dict(found.get("cells", {}))
            # All files of a tree are alike.
            self.content["seal"] = found.get("seal")
        elif root.exists() and not (root.is_dir() and all(map(_is_left_over, root.iterdir()))):
            raise FolderExistsError(
                f"{str(root)!r} exists and has no {MANIFEST_NAME}: choose another folder"
            )

    def save(self, finished: Sequence[str] = ()) -> None:
        """Write the manifest, with cells that have all of their files now."""
        cells = self.content["cells"]
        cells.update(dict.fromkeys(finished, self.content["images_per_cell"]))
        names = [key.partition("/") for key in cells]
        if self.content["dataset"] == "imagenet-c":
            self.content["corruptions"] = list(dict.fromkeys(name for name, _, _ in names))
            self.content["severities"] = sorted({int(severity) for _, _, severity in names})
        else:
            self.content["perturbations"] = list(cells)
        text = json.dumps(self.content, indent=1) + "\n"
        atomic_write(self.path, text, "manifest")
