"""Put the result files of shards together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gcp_mm.console.progress import if_long
from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.evaluation.baseline import Baseline, load_baseline
from gcp_mm.robustness.evaluate import MEASURES, describe_clips
from gcp_mm.robustness.lock import only_writer
from gcp_mm.robustness.result import ResultFile, read_result
from gcp_mm.robustness.shards import Shard, check_counts, check_top5, in_order
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
        UserError: If a shard is missing, twice, unfinished, of other settings or versions, or does
            not hold the files of its share; names the file.
        FolderExistsError: If ``out`` exists.
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
        measure = MEASURES[first["dataset"]]
        file.save(measure(file.cells, file.content["settings"], reference))
    return file.content


def _baseline(content: dict[str, Any], baseline: str | None) -> Baseline:
    reference = load_baseline(baseline or "alexnet", content["dataset"])
    settings = content["settings"]
    if baseline is None and settings.get("baseline_sha256") != reference.sha256:
        raise UserError(
            f"the shards are relative to the baseline {settings.get('baseline')!r}: give its file "
            "as --baseline, or --baseline alexnet"
        )
    return reference


def _add(shards: Sequence[Shard], cell: str, out: Path) -> dict[str, Any]:
    parts = [content["cells"][cell] for _, content in shards]
    if "clips" in parts[0]:
        found = [read_top5(top5_path(path, cell)) for path, _ in shards]
        check_top5(shards, cell, found)
        top5 = join(found)
        write_top5(top5_path(out, cell), top5)
        counts = describe_clips(cell, top5)
    else:
        check_counts(shards, cell)
        counts = {**parts[0]}
        counts.update({key: sum(part[key] for part in parts) for key in ("correct", "total")})
    return {**counts, "seconds": round(sum(part["seconds"] for part in parts), 3)}
