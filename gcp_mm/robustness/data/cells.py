"""Cells of an evaluation: the folders of a corruption and severity, or of a perturbation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, why_absent
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    GROUPS,
    PERTURBATIONS,
    SEVERITIES,
    folder_name,
)

_SETS = {"benchmark": BENCHMARK_CORRUPTIONS, "all": ALL_CORRUPTIONS, **GROUPS}


def choose_corruptions(names: str | Iterable[str]) -> tuple[str, ...]:
    """Expand 'benchmark', 'all' and groups into corruptions, each once, in the paper's order."""
    return _choose(names, _SETS, ALL_CORRUPTIONS, "corruption")


def choose_perturbations(names: str | Iterable[str]) -> tuple[str, ...]:
    """Expand 'benchmark' or 'all' into the ten perturbations."""
    sets = dict.fromkeys(("benchmark", "all"), PERTURBATIONS)
    return _choose(names, sets, PERTURBATIONS, "perturbation")


def _choose(
    names: str | Iterable[str], sets: Mapping[str, tuple[str, ...]], known: tuple[str, ...], of: str
) -> tuple[str, ...]:
    names = [names] if isinstance(names, str) else list(names)
    if unknown := [name for name in names if name not in sets and name not in known]:
        raise UserError(
            f"unknown {of} {', '.join(map(repr, unknown))}; one of {', '.join([*sets, *known])}"
        )
    chosen = {name for part in names for name in sets.get(part, (part,))}
    return tuple(name for name in known if name in chosen)


def choose_severities(severities: Iterable[int]) -> list[int]:
    """Sort severities, each once."""
    if wrong := sorted(set(severities) - set(SEVERITIES)):
        raise UserError(f"severity {wrong[0]}: expected are {SEVERITIES[0]} to {SEVERITIES[-1]}")
    return sorted(set(severities))


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
