"""The cells of a tree as folders, and their files: the same names in every cell, listed once.

A cell is that of a corruption and severity, or that of a perturbation.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gcp_mm.console.progress import if_long
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, why_absent
from gcp_mm.images.names import LeftOut, list_image_files
from gcp_mm.robustness.names import DIFFICULTIES, SEVERITIES, choose_severities, folder_name

CLIP_SUFFIXES = (".mp4",)


def corruption_cells(
    root: str | Path, corruptions: Sequence[str], severities: Sequence[int] = SEVERITIES
) -> dict[str, Path]:
    """Find the folder of each ``<corruption>/<severity>``, maybe in that of a group."""
    chosen = choose_severities(severities)
    cells = {}
    for name in corruptions:
        folder = _find(Path(root), name)
        for severity in chosen:
            cells[f"{name}/{severity}"] = folder / str(severity)
            if not (folder / str(severity)).is_dir():
                raise UserError(
                    f"severity {severity} of {name} is missing: {str(folder / str(severity))!r} "
                    "is no folder. Unpack it, or choose others with --severities"
                )
    return cells


def perturbation_cells(
    root: str | Path, perturbations: Sequence[str], difficulty: int = 1
) -> dict[str, Path]:
    """Find the folder of each perturbation; from difficulty 2 on noises have others."""
    if difficulty not in DIFFICULTIES:
        raise UserError(f"difficulty {difficulty!r}: expected is one of {DIFFICULTIES}")
    names = [folder_name(name, difficulty) for name in perturbations]
    return {name: _find(Path(root), name) for name in names}


def _find(root: Path, name: str) -> Path:
    if (root / name).is_dir():
        return root / name
    if not root.is_dir():
        raise UserError(
            f"--data-root {str(root)!r} {why_absent(root, 'folder')} (working folder: {Path.cwd()})"
        )
    found = sorted(path for path in root.glob(f"*/{name}") if path.is_dir())
    if len(found) > 1:
        raise UserError(f"{name} is there several times: {', '.join(map(str, found))}; keep one")
    if not found:
        there = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise UserError(
            f"{name} is missing: neither {str(root / name)!r} nor a folder {name!r} one level "
            f"deeper exists. In {str(root)!r} are {abbreviate(there, 20) or 'no folders'}. "
            "Unpack it, or choose others with --corruptions"
        )
    return found[0]


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
        return hashlib.sha256(os.fsencode("\n".join(self.files))).hexdigest()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class folders, sorted."""
        return tuple(sorted({file.partition("/")[0] for file in self.files}))

    def sample(self, number: int) -> Listing:
        """Choose files at an even stride, so that every class keeps its share."""
        if not 1 <= number <= len(self.files):
            raise UserError(
                f"--num-samples {number}: a cell has {len(self.files)} files; ask for 1 to that"
            )
        return Listing(tuple(self.files[i * len(self.files) // number] for i in range(number)))


def common_listing(cells: Mapping[str, Path], suffixes: Iterable[str]) -> Listing:
    """List the files of all cells and require that each has all of them."""
    suffixes = tuple(suffixes)
    found: dict[str, tuple[str, ...]] = {}
    left_out = LeftOut()
    with if_long(len(cells), "listing cells") as progress:
        for key, folder in cells.items():
            cell = list_image_files(folder, suffixes)
            if cell.dangling:
                raise UserError(
                    f"{str(folder)!r}: {len(cell.dangling)} files are links to nothing: "
                    f"{abbreviate(cell.dangling)}. Mend the links: evaluation skips no file"
                )
            found[key] = tuple(sorted(cell.files))
            left_out.system += [f"{key}/{name}" for name in cell.left_out.system]
            left_out.others += [f"{key}/{name}" for name in cell.left_out.others]
            progress.update()
    _check_equal(cells, found)
    files = next(iter(found.values()), ())
    if not files:
        folders = abbreviate(str(folder) for folder in cells.values())
        raise UserError(
            f"no file <class>/<name> ({', '.join(suffixes)}) in {folders}: expected are class "
            "folders"
        )
    left_out.log(os.path.commonpath(cells.values()), suffixes)
    return Listing(files)


def _check_equal(cells: Mapping[str, Path], found: Mapping[str, tuple[str, ...]]) -> None:
    """Name the cell that differs from most others; without a majority, also one of the others."""
    kinds = Counter(found.values()).most_common()
    if len(kinds) < 2:
        return
    (usual, number), (_, next_number), *_ = kinds
    others = f"{number} of {len(found)} cells, such as {{}}, agree"
    if number == next_number:
        # A short cell is more likely than one with files too many.
        usual = max(found.values(), key=len)
        others = "as many other cells, such as {}, have others"
    example = next(repr(str(cells[key])) for key, files in found.items() if files == usual)
    odd = [key for key, files in found.items() if files != usual]
    key = odd[0]
    missing, extra = sorted({*usual} - {*found[key]}), sorted({*found[key]} - {*usual})
    parts = []
    if missing:
        parts.append(f"has {len(usual) - len(missing)} of {len(usual)} files that other cells have")
        parts.append(f"missing: {abbreviate(missing)}")
    if extra:
        parts.append(f"has {len(extra)} files that others lack: {abbreviate(extra)}")
    more = f" ({len(odd) - 1} more cells differ: {abbreviate(odd[1:])})" if odd[1:] else ""
    raise UserError(
        f"{str(cells[key])!r} {'; '.join(parts)}{more}; {others.format(example)}. Fetch or unpack "
        "this folder again, take what is too much away, or leave the cell out"
    )
