"""The images that a tree is made from: class folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, sha256, why_absent
from gcp_mm.images.names import IMAGE_EXTENSIONS, is_text, list_image_files
from gcp_mm.images.read_image import open_image, orientation_of


@dataclass(frozen=True)
class SourceImage:
    """An image, and its place ``<class>/<image>`` or deeper below the folder of the sources."""

    path: Path
    file: str

    @property
    def name(self) -> str:
        """Its place in every cell of the tree: ``file`` without the extension."""
        return str(PurePosixPath(self.file).with_suffix(""))

    @property
    def label(self) -> str:
        """Its class."""
        return self.file.partition("/")[0]


def list_sources(root: Path, limit: int | None = None) -> list[SourceImage]:
    """List ``ROOT/<class>/<image>``, at any depth below a class, as training does.

    What is left out is logged once; see :func:`gcp_mm.images.names.list_image_files`.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit}: at least 1 image of each class")
    if not root.is_dir():
        raise UserError(
            f"source {str(root)!r} {why_absent(root, 'folder')}; name SOURCE/<class>/<image>"
        )
    found = list_image_files(root, show=True)
    if not found.folders:
        raise UserError(f"source {str(root)!r} holds no class folders (SOURCE/<class>/<image>)")
    if found.dangling:
        raise UserError(
            f"source {str(root)!r}: {len(found.dangling)} images are links to nothing: "
            f"{abbreviate(found.dangling)}. Mend or remove the links"
        )
    found.left_out.log(str(root), IMAGE_EXTENSIONS)
    for name in found.folders:
        # The manifest is a text, and has them.
        if not is_text(name):
            raise UserError(
                f"class folder {str(root / name)!r} has a name that is no UTF-8: rename it"
            )
    classes: dict[str, list[SourceImage]] = {name: [] for name in found.folders}
    names: dict[str, SourceImage] = {}
    for source in (SourceImage(root / file, file) for file in found.files):
        other = names.setdefault(source.name, source)
        if other is not source:
            raise UserError(
                f"{str(other.path)!r} and {source.path.name!r} would become the same file of the "
                "tree: rename one of them"
            )
        classes[source.label].append(source)
    for name, images in classes.items():
        if not images:
            raise UserError(
                f"class folder {str(root / name)!r} holds no image ({', '.join(IMAGE_EXTENSIONS)})"
            )
    return [source for images in classes.values() for source in images[:limit]]


def classes_of(sources: Iterable[SourceImage]) -> list[str]:
    """Name the classes in the order of their labels."""
    return sorted({source.label for source in sources})


def digest(sources: Iterable[SourceImage]) -> str:
    """Compute one sha256 over the names and contents of all images."""
    total = hashlib.sha256()
    unreadable = []
    for source in sources:
        try:
            content = sha256(source.path)
        except OSError:
            unreadable.append(str(source.path))
            continue
        total.update(os.fsencode(f"{source.file} {content}\n"))
    if unreadable:
        raise UserError(
            f"{len(unreadable)} images cannot be read: {abbreviate(unreadable)}: mend or "
            "remove them"
        )
    return total.hexdigest()


def unusual_reading(sources: Iterable[SourceImage], ignore_orientation: bool) -> dict[str, Any]:
    """Say how images were read whose pixels depend on it, for the settings of a tree."""
    turned = deep = 0
    for source in sources:
        try:
            with open_image(source.path) as image:
                turned += orientation_of(image) != 1
                deep += image.mode.startswith("I")
        except (OSError, ValueError):
            # Named when it is read.
            continue
    reading: dict[str, Any] = {"sixteen_bits": deep} if deep else {}
    if turned:
        orientation = "ignored" if ignore_orientation else "applied"
        reading |= {"with_orientation_tag": turned, "orientation": orientation}
    return reading
