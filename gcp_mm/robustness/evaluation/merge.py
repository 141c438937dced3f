"""Put the result files of shards together, if they are all shards of one evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcp_mm.console.progress import if_long
from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import differences
from gcp_mm.robustness.evaluation.evaluate import describe_clips
from gcp_mm.robustness.evaluation.loader import share
from gcp_mm.robustness.evaluation.result import ResultFile, only_writer, read_result
from gcp_mm.robustness.evaluation.top5_file import (
    Top5,
    find_top5,
    join,
    read_top5,
    top5_path,
    write_top5,
)
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline

# Names of files say nothing, and each shard has its own number.
_OWN = ("config", "checkpoint", "shard")
_BASELINE = ("baseline", "baseline_sha256")
_COUNTS = ("correct", "total", "seconds")
# Where clean images lay, which may be elsewhere on each machine: their digest tells them apart.
_PLACE = ("source",)


class Shard(NamedTuple):
    """A result file of ``--shard`` and what it holds."""

    path: Path
    content: Mapping[str, Any]


def in_order(contents: Mapping[Path, Mapping[str, Any]], any_baseline: bool) -> list[Shard]:
    """Sort shards by their number, and check that they are all shards of one evaluation."""
    by_number: dict[int, Shard] = {}
    first = Shard(*next(iter(contents.items())))
    for shard in map(Shard._make, contents.items()):
        settings = shard.content["settings"]
        path = str(shard.path)
        if not settings.get("shard"):
            raise UserError(f"{path!r} is no shard; it was made without --shard")
        _check_settings(first, shard, _OWN + _BASELINE if any_baseline else _OWN)
        number, total = settings["shard"]
        if total != (expected := first.content["settings"]["shard"][1]):
            raise UserError(
                f"{path!r} is shard {number}/{total}, and {str(first.path)!r} is one of {expected}"
            )
        if number in by_number:
            raise UserError(
                f"shard {number}/{total} is there twice: {str(by_number[number].path)!r} and "
                f"{path!r}"
            )
        by_number[number] = shard
    if missing := [f"{i}/{total}" for i in range(total) if i not in by_number]:
        raise UserError(f"missing shards: {abbreviate(missing, 20)}; give the result files of all")
    cells = {cell for content in contents.values() for cell in content["cells"]}
    for file, content in contents.items():
        if lacking := sorted(cells - content["cells"].keys()):
            raise UserError(
                f"{str(file)!r} is not finished: it lacks {abbreviate(lacking)}. Start its "
                "evaluation again"
            )
    return [by_number[i] for i in range(total)]


def _check_settings(first: Shard, shard: Shard, own: Sequence[str]) -> None:
    pair = (first.content["settings"], shard.content["settings"])
    different = differences(*pair, without=own)
    if shard.content["dataset"] != first.content["dataset"]:
        different.insert(0, "another data set")
    # Only one of them may have measured images without corruption.
    for cell in first.content["cells"].keys() & shard.content["cells"].keys():
        one, other = first.content["cells"][cell], shard.content["cells"][cell]
        if "total" in one:
            found = differences(one, other, without=_COUNTS + _PLACE)
            different += [f"{cell}: {phrase}" for phrase in found]
    if different:
        raise UserError(
            f"{str(shard.path)!r} (here) and {str(first.path)!r} (there) are of different "
            f"evaluations: {abbreviate(different, 6)}"
        )


def _files(shard: Shard) -> int:
    settings = shard.content["settings"]
    files = settings["num_samples"] or settings.get("files_per_cell")
    if files is None:
        raise UserError(f"{str(shard.path)!r} lacks 'files_per_cell' among its settings")
    return files


def check_counts(shards: Sequence[Shard], cell: str) -> None:
    """Require that each shard has counted the images of its share; 'clean' states its files."""
    for shard in shards:
        found = shard.content["cells"][cell]
        files = found.get("files") or _files(shard)
        expected = len(share(files, shard.content["settings"]["shard"]))
        if found["total"] != expected:
            raise UserError(
                f"{str(shard.path)!r}: {cell} has {found['total']} images, and this shard has "
                f"{expected}. Measure it again"
            )


def check_top5(shards: Sequence[Shard], cell: str, found: Sequence[Top5]) -> None:
    """Require that each shard has kept the clips of its share."""
    for shard, top5 in zip(shards, found, strict=True):
        expected = np.array(share(_files(shard), shard.content["settings"]["shard"]))
        if not np.array_equal(top5.clips, expected):
            raise UserError(
                f"{str(shard.path)!r}: the top-5 file of {cell} has {len(top5.clips)} clips that "
                f"are not the {len(expected)} of this shard. Measure it again"
            )


def merge(paths: Sequence[Path], out: Path, baseline: str | None = None) -> dict[str, Any]:
    """Add up the counts of all shards, in any order; the result is that of one evaluation.

    Top-5 files lie beside the result files. Without a baseline that of the shards is kept.
    """
    shards = in_order({path: read_result(path) for path in paths}, baseline is not None)
    first = shards[0].content
    reference = _baseline(first, baseline)
    settings = {**first["settings"], "shard": None}
    settings.update(baseline=reference.name, baseline_sha256=reference.sha256)
    with only_writer(out):
        if out.exists():
            raise FolderExistsError(f"{str(out)!r} exists; choose another --out, or delete it")
        file = ResultFile(out, first["dataset"], first["name"], settings)
        for _, content in shards:
            file.measured_with(content.get("versions", {}), content.get("environment", {}))
        with if_long(len(first["cells"]), "adding up cells") as progress:
            for cell in first["cells"]:
                file.cells[cell] = _add(shards, cell, out)
                progress.update()
        file.save(reference)
    return file.content


def _baseline(content: Mapping[str, Any], baseline: str | None) -> Baseline:
    reference = load_baseline(baseline or "alexnet", content["dataset"])
    settings = content["settings"]
    if baseline is None and settings.get("baseline_sha256") != reference.sha256:
        raise UserError(
            f"the shards are relative to the baseline {settings.get('baseline')!r}: give its file "
            "as --baseline, or --baseline alexnet"
        )
    return reference


def _require_own(path: Path, part: Mapping, counts: Mapping, cell: str) -> None:
    """Require of a top-5 file, which earlier versions let two results share, the counts of one."""
    for difficulty, found in counts["difficulty"].items():
        before = part["difficulty"].get(difficulty, found)
        near = math.isclose(before["top5_distance"], found["top5_distance"])
        if before["flips"] != found["flips"] or not near:
            raise UserError(
                f"{str(path)!r}: the top-5 file of {cell} is of another evaluation. Measure this "
                "shard again, with another --out"
            )


def _add(shards: Sequence[Shard], cell: str, out: Path) -> dict[str, Any]:
    parts = [content["cells"][cell] for _, content in shards]
    if "clips" in parts[0]:
        found = [read_top5(find_top5(path, cell)) for path, _ in shards]
        check_top5(shards, cell, found)
        for (path, content), top5 in zip(shards, found, strict=True):
            _require_own(path, content["cells"][cell], describe_clips(cell, top5), cell)
        top5 = join(found)
        write_top5(top5_path(out, cell), top5)
        counts = describe_clips(cell, top5)
    else:
        check_counts(shards, cell)
        counts = {**parts[0]}
        counts.update({key: sum(part[key] for part in parts) for key in ("correct", "total")})
    return {**counts, "seconds": round(sum(part["seconds"] for part in parts), 3)}
