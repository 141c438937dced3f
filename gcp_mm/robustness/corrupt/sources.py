"""The images that a tree is made from: class folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class SourceImage:
    """An image of a class.

    Attributes:
        path: Its file.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its place in every cell of the tree, without the extension: ``<class>/<stem>``."""
        return f"{self.path.parent.name}/{self.path.stem}"


def list_sources(root: Path, limit: int | None = None) -> list[SourceImage]:
    """List ``ROOT/<class>/<image>``; hidden files and folders are left out.

    Args:
        root: The folder.
        limit: The first images of each class in the order of their names; None for all of them.

    Returns:
        The images in the order of their classes and names.

    Raises:
        UserError: If there is no class folder, one of them has no image, two images of a class
            differ only in their extension, or ``limit`` is not positive.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit}: at least 1 image of each class")
    if not root.is_dir():
        raise UserError(f"source {str(root)!r} is not a folder of class folders")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    if not folders:
        raise UserError(f"source {str(root)!r} holds no class folders (SOURCE/<class>/<image>)")
    return [SourceImage(path) for folder in folders for path in _images(folder)[:limit]]


def _images(folder: Path) -> list[Path]:
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _EXTENSIONS and path.name[0] != "." and path.is_file()
    )
    if not found:
        raise UserError(f"class folder {str(folder)!r} holds no image ({', '.join(_EXTENSIONS)})")
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise UserError(
                f"{str(stems[path.stem])!r} and {path.name!r} would become the same file of the "
                "tree: rename one of them"
            )
        stems[path.stem] = path
    return found


def classes_of(sources: Iterable[SourceImage]) -> list[str]:
    """Name the classes in the order of their labels.

    Args:
        sources: The images.

    Returns:
        The sorted names of the class folders.
    """
    return sorted({source.path.parent.name for source in sources})


def digest(sources: Sequence[SourceImage]) -> str:
    """Compute one sha256 over the names and contents of all images.

    Args:
        sources: The images, in their order.

    Returns:
        64 hexadecimal digits.

    Raises:
        UserError: If a file cannot be read.
    """
    total = hashlib.sha256()
    unreadable = []
    for source in sources:
        try:
            content = hashlib.sha256(source.path.read_bytes()).hexdigest()
        except OSError:
            unreadable.append(str(source.path))
            continue
        total.update(f"{source.path.parent.name}/{source.path.name} {content}\n".encode())
    if unreadable:
        raise UserError(f"{len(unreadable)} images cannot be read: {abbreviate(unreadable)}")
    return total.hexdigest()
