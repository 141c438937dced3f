"""What a tree that was made here says of itself: its manifest, and a digest in each file.

``manifest.json`` has what the tree is made of, and which cells are finished. The digests are there
because neither JPEG nor H.264 nor mp4 has a checksum, and a decoder takes most damaged bytes of an
entropy code for others that are right. Behind each image and each clip stands a box of free space
with the sha256 of all before it: the last box of an mp4 file, which every program skips, and bytes
behind the end of a JPEG image, which nothing reads. So it comes and goes with the file, whatever
tree that is copied to. The released files have none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.files import abbreviate, atomic_write
from gcp_mm.plain_data import (
    COUNT,
    POSITIVE,
    TEXT,
    ListOf,
    Maybe,
    TableOf,
    differences,
    format_head,
    read_json,
    why_unfit,
)

MANIFEST_NAME = "manifest.json"
FORMAT, VERSION = "gcp_mm corruptions", 1
_FORM = {
    **format_head(FORMAT, VERSION),
    "classes": ListOf(TEXT),
    "images_per_cell": COUNT,
    "settings": {
        "size?": Maybe({"crop": POSITIVE}),
        "reading?": {"with_orientation_tag?": COUNT, "orientation?": TEXT},
    },
    "cells?": TableOf(COUNT),
}

SEAL = "sha256 in the last box"
#: What is wrong with a file that is not intact.
NOT_AS_WRITTEN = "its bytes are not those that were written"

_TAG = b"gcp_mm sha256 "
_BOX = 8 + len(_TAG) + 32
_HEAD = _BOX.to_bytes(4, "big") + b"free" + _TAG

# What the pixels depend on.
_PACKAGES = {
    "imagenet-c": ("imagecorruptions-imaug", "numpy", "pillow", "scikit-image", "scipy"),
    "imagenet-p": ("av", "numpy", "pillow", "scipy", "torchvision"),
}


def seal(content: bytes) -> bytes:
    """Return a JPEG or mp4 file with the box at its end."""
    return content + _HEAD + hashlib.sha256(content).digest()


def is_intact(content: bytes, sealed: bool = False) -> bool:
    """Say whether a file is as its seal says; without one it is, unless it has to have one."""
    body, box = content[:-_BOX], content[-_BOX:]
    if not box.startswith(_HEAD):
        return not sealed
    return hashlib.sha256(body).digest() == box[len(_HEAD) :]


def library_versions(dataset: str) -> dict[str, str]:
    """Return the versions of the packages that the pixels depend on."""
    import cv2

    versions = {name: metadata.version(name) for name in _PACKAGES[dataset]}
    return {**versions, "opencv": cv2.__version__}


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Read the manifest of a tree."""
    path = root / MANIFEST_NAME
    try:
        content = read_json(path)
        if unfit := why_unfit(content, _FORM):
            raise UserError(unfit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UserError) as error:
        raise UserError(
            f"{str(path)!r} is no manifest of corrupted images ({FORMAT!r}, version {VERSION}): "
            f"{error}. Make the tree again, or take the file away if it is of something else"
        ) from error
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
    settings = dict(content["settings"])
    versions = settings.pop("versions", {})
    return {"dataset": content.get("dataset"), **settings, **versions}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Say whether all files of a tree were written with a digest."""
    return bool(content.get("seal") or content["settings"].get("seal"))


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
