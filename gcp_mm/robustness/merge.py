"""Put the result files of shards together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gcp_mm.engine.coverage import abbreviate
from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.robustness.evaluate import MEASURES, describe_clips
from gcp_mm.robustness.result import ResultFile, different_settings, read_result
from gcp_mm.robustness.top5_file import join, read_top5, top5_path, write_top5


def merge(paths: Sequence[Path], out: Path, baseline: str | None = None) -> dict[str, Any]:
    """Add up the counts of shards; the result is that of one evaluation.

    Args:
        paths: The result files of all n shards i/n, in any order. The top-5 files of ImageNet-P
            have to lie beside them.
        out: The result file to write.
        baseline: What errors are divided by; None keeps that of the shards.

    Returns:
        The content of the result file.

    Raises:
        UserError: If a shard is missing, twice, unfinished or of other settings; names the file.
        FolderExistsError: If ``out`` exists.
    """
    contents = {path: read_result(path) for path in paths}
    if out.exists():
        raise FolderExistsError(f"{str(out)!r} exists; choose another --out, or delete it")
    shards = _in_order(contents)
    first = shards[0][1]
    settings = {**first["settings"], "shard": None}
    if baseline is not None:
        settings["baseline"] = baseline
    file = ResultFile(out, first["dataset"], first["name"], settings)
    for cell in first["cells"]:
        parts = [content["cells"][cell] for _, content in shards]
        seconds = round(sum(part["seconds"] for part in parts), 3)
        if "clips" in parts[0]:
            top5 = join(read_top5(top5_path(path, cell)) for path, _ in shards)
            write_top5(top5_path(out, cell), top5)
            counts = describe_clips(cell, top5)
        else:
            counts = {**parts[0]}
            counts.update({key: sum(p[key] for p in parts) for key in ("correct", "total")})
        file.cells[cell] = {**counts, "seconds": seconds}
    measure = MEASURES[first["dataset"]]
    file.save(measure(file.cells, file.content["settings"], settings["baseline"]))
    return file.content


def _in_order(contents: dict[Path, dict[str, Any]]) -> list[tuple[Path, dict[str, Any]]]:
    """Sort shards by their number, and check that they are all shards of one evaluation."""
    by_number: dict[int, tuple[Path, dict[str, Any]]] = {}
    first_path, first = next(iter(contents.items()))
    for path, content in contents.items():
        shard = content["settings"].get("shard")
        if not shard:
            raise UserError(f"{str(path)!r} is no shard; it was made without --shard")
        other = {**content["settings"], "shard": first["settings"]["shard"]}
        different = different_settings(first["settings"], other)
        if content["dataset"] != first["dataset"] or different:
            reasons = abbreviate(different, 6) or "another data set"
            raise UserError(
                f"{str(path)!r} and {str(first_path)!r} are of different evaluations: {reasons}"
            )
        if shard[1] != first["settings"]["shard"][1]:
            raise UserError(
                f"{str(path)!r} is shard {shard[0]}/{shard[1]}, and {str(first_path)!r} is one of "
                f"{first['settings']['shard'][1]}"
            )
        if shard[0] in by_number:
            raise UserError(
                f"shard {shard[0]}/{shard[1]} is there twice: {str(by_number[shard[0]][0])!r} and "
                f"{str(path)!r}"
            )
        by_number[shard[0]] = path, content
    number = first["settings"]["shard"][1]
    if missing := [f"{i}/{number}" for i in range(number) if i not in by_number]:
        raise UserError(f"missing shards: {', '.join(missing)}; give the result files of all")
    cells = {cell for content in contents.values() for cell in content["cells"]}
    for path, content in contents.items():
        if lacking := sorted(cells - content["cells"].keys()):
            raise UserError(
                f"{str(path)!r} is not finished: it lacks {abbreviate(lacking)}. Start its "
                "evaluation again"
            )
    return [by_number[i] for i in range(number)]
