"""The files of ImageNet-C or ImageNet-P: the same names in every cell, listed once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
CLIP_SUFFIXES = (".mp4",)


@dataclass(frozen=True)
class Listing:
    """The files that each cell holds.

    Attributes:
        files: Sorted paths ``<class>/<name>`` from the folder of a cell.
    """

    files: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """Digest of the paths, for the settings of a result file."""
        return hashlib.sha256("\n".join(self.files).encode()).hexdigest()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class folders, sorted."""
        return tuple(sorted({file.partition("/")[0] for file in self.files}))

    def sample(self, number: int) -> Listing:
        """Choose files at an even stride, so that every class keeps its share.

        Args:
            number: How many.

        Returns:
            The listing of these files.

        Raises:
            UserError: If there are not so many files.
        """
        if not 1 <= number <= len(self.files):
            raise UserError(
                f"--num-samples {number}: a cell has {len(self.files)} files; ask for 1 to that"
            )
        return Listing(tuple(self.files[i * len(self.files) // number] for i in range(number)))


def list_cell(folder: Path, suffixes: Iterable[str]) -> tuple[str, ...]:
    """List ``<class>/<name>`` below a folder; hidden and other files are left out.

    Args:
        folder: Folder of a cell.
        suffixes: Endings of the files, lower case.

    Returns:
        The sorted paths from the folder.

    Raises:
        UserError: If the folder cannot be read.
    """
    suffixes = tuple(suffixes)
    try:
        return tuple(
            sorted(
                f"{entry.name}/{file.name}"
                for entry in os.scandir(folder)
                if entry.is_dir() and not entry.name.startswith(".")
                for file in os.scandir(entry.path)
                if file.name.lower().endswith(suffixes) and not file.name.startswith(".")
            )
        )
    except OSError as error:
        raise UserError(f"{str(folder)!r} cannot be read: {error}") from error


def common_listing(cells: Mapping[str, Path], suffixes: Iterable[str]) -> Listing:
    """List the files of all cells and require that each has all of them.

    Args:
        cells: Folder of each cell.
        suffixes: Endings of the files.

    Returns:
        The files.

    Raises:
        UserError: If a cell lacks files that another one has, or there is none; names the folder.
    """
    suffixes = tuple(suffixes)
    found = {key: list_cell(folder, suffixes) for key, folder in cells.items()}
    union: set[str] = set().union(*found.values())
    for key, files in found.items():
        if len(files) < len(union):
            missing = sorted(union - set(files))
            raise UserError(
                f"{str(cells[key])!r} has {len(files)} of {len(union)} files that other cells "
                f"have; missing: {abbreviate(missing)}. Fetch or unpack this folder again, or "
                "leave it out"
            )
    if not union:
        folders = abbreviate(str(folder) for folder in cells.values())
        raise UserError(
            f"no file <class>/<name> ({', '.join(suffixes)}) in {folders}: expected are class "
            "folders"
        )
    return Listing(tuple(sorted(union)))
