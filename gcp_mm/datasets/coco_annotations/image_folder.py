"""Compare what a file says of its images with the images."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from gcp_mm.datasets.coco_annotations.findings import Findings
from gcp_mm.images.read_image import open_image, orientation_of

_SECONDS = 5.0  # for sizes; what is not looked at now is compared when it is loaded


@dataclass
class ImageFolder:
    """The images that an annotation file belongs to, in a folder of this machine.

    ``load`` returns width and height of an image as the data set loads it, and ``is_turned`` says
    whether that follows the orientation tag of photographs.
    """

    folder: str
    load: Callable[[str, Mapping], tuple[int, int]]
    is_turned: bool = True
    _listings: dict[str, set[str]] = field(default_factory=dict)

    def check_names(self, images: list[dict], findings: Findings) -> None:
        """Find images that do not exist, and those whose names are written in another way."""
        for index, image in enumerate(images):
            name = image["file_name"]
            if self._exists(name):
                continue
            for what, other in _spellings(name):
                if other != name and self._exists(other):
                    values = {"file_name": other}
                    findings.patch("images", index, image, values, what, repr(name))
                    break
            else:
                findings.missing.append(name)
        if findings.missing:
            findings.hint = self._hint(findings.missing[0])

    def check_sizes(self, images: list[dict], findings: Findings) -> None:
        """Compare the sizes of as many images as can be looked at in a few seconds."""
        absent = set(findings.missing)
        until = time.monotonic() + _SECONDS
        seen = lying = 0
        wrong: list[str] = []
        # In any order, so that a part of the data stands for the whole.
        for index in random.Random(0).sample(range(len(images)), len(images)):
            image = images[index]
            if image["file_name"] in absent:
                continue
            if time.monotonic() > until:
                break
            seen += 1
            stated = (image["width"], image["height"])
            size, turned, tag = _header(self._path_of(image)) or (None, None, 1)
            if (turned if self.is_turned else size) == stated:
                if size == turned and tag > 1:
                    how = "upright, as the tag says" if self.is_turned else "without the tag"
                    findings.remarks.add(
                        "photographs with an orientation tag that their size cannot confirm (a "
                        f"square, upside down or mirrored) are read {how}; see that the boxes fit",
                        f"{image['file_name']!r}, tag {tag}",
                    )
                continue
            found = self.size_of(image)
            if found is None:
                findings.unreadable.append(image["file_name"])
            elif found != stated:
                wrong.append(describe_sizes(image["file_name"], stated, found, image["id"]))
                lying += size == stated
        if wrong:
            remedy = (
                "Their orientation tag turns them: where the annotations are those of the image as "
                "it lies, set color_type='color_ignore_orientation' in LoadImageFromFile of the "
                "pipelines; where they are those of the upright image, exchange width and height"
                if lying == len(wrong)
                else "Correct width and height, and see that the annotations are in pixels of the "
                "image as it is"
            )
            findings.problems.add(
                f"{len(wrong)} of {seen} images looked at have another size than their entry says. "
                f"{remedy}",
                wrong[0],
            )

    def size_of(self, image: Mapping) -> tuple[int, int] | None:
        """Return width and height of an image, or None if it cannot be read."""
        try:
            return self.load(self._path_of(image), image)
        except Exception:  # what a damaged file raises depends on its format
            return None

    def _path_of(self, image: Mapping) -> str:
        """Return the path of an image, as mmdet joins it."""
        return str(Path(self.folder, image["file_name"]))

    def _exists(self, name: str) -> bool:
        """Look a file up in the listing of its folder, which is read once."""
        path = Path(self.folder, name)
        folder = str(path.parent)
        if folder not in self._listings:
            self._listings[folder] = _names(folder)
        return path.name in self._listings[folder]

    def _hint(self, name: str) -> str:
        """Say where a missing image may be."""
        base = Path(name.replace("\\", "/")).name
        listing = _names(self.folder)
        if base in listing:
            return f"there is {base!r} in that folder: leave the folder out of file_name"
        twins = [other for other in listing if other.lower() == base.lower()]
        twins = twins or [other for other in listing if Path(other).stem == Path(base).stem]
        if twins:
            return f"there is {min(twins)!r}"
        for parent in list(Path(self.folder).parents)[:2]:
            if (parent / name).is_file():
                return f"it is in {str(parent)!r}: set data_prefix.img"
        return ""


def _header(path: str) -> tuple[tuple[int, int], tuple[int, int], int] | None:
    """Return the size that the head of a file states, the same as its tag turns it, and the tag.

    None if PIL cannot tell, as with an array that the loader of the config may read.
    """
    try:
        with open_image(path) as image:
            tag = orientation_of(image)
            return image.size, image.size[::-1] if tag > 4 else image.size, tag
    except Exception:  # what a damaged file raises depends on its format
        return None


def _spellings(name: str) -> Iterator[tuple[str, str]]:
    """Yield other ways to write the name of the same file, and what it takes to get there."""
    slashes = name.replace("\\", "/")
    yield "backslashes in file names made slashes", slashes
    # macOS takes letters and accents apart, in the names of files and archives.
    for form in ("NFC", "NFD"):
        yield "accents in file names written as the files have them", normalize(form, slashes)
    # As in the addresses of an annotation server.
    yield "percent signs in file names made what they stand for", unquote(slashes)


def _names(folder: str) -> set[str]:
    """Return what a folder holds; nothing where there is none."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (OSError, ValueError):
        return set()


def describe_sizes(
    name: str, stated: tuple[object, object], found: tuple[int, int], identifier: object = None
) -> str:
    """Say how the size of an image differs from what its entry says."""
    exchanged = stated == found[::-1] and found[0] != found[1]
    return (
        f"{f'image {identifier!r}, ' if identifier is not None else ''}{name!r} has width "
        f"{found[0]}, height {found[1]}, its entry says width {stated[0]}, height {stated[1]}"
        + (": exchanged" if exchanged else "")
    )
