"""Whether result files are all shards of one evaluation, each with the files of its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import differences
from gcp_mm.robustness.top5_file import Top5

# Names of files say nothing, and each shard has its own number.
_OWN = ("config", "checkpoint", "shard")
_BASELINE = ("baseline", "baseline_sha256")
_COUNTS = ("correct", "total", "seconds")


class Shard(NamedTuple):
    """A result file of ``--shard``.

    Attributes:
        path: The file.
        content: What it holds.
    """

    path: Path
    content: Mapping[str, Any]


def in_order(contents: Mapping[Path, Mapping[str, Any]], any_baseline: bool) -> list[Shard]:
    """Sort shards by their number, and check that they are all shards of one evaluation.

    Args:
        contents: Content of each result file.
        any_baseline: Whether they may be relative to different baselines.

    Returns:
        The shards 0/n to n-1/n.

    Raises:
        UserError: If a shard is missing, twice, unfinished or of other settings; names the file.
    """
    by_number: dict[int, Shard] = {}
    first = Shard(*next(iter(contents.items())))
    for shard in map(Shard._make, contents.items()):
        settings, path = shard.content["settings"], str(shard.path)
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
    for path, content in contents.items():
        if lacking := sorted(cells - content["cells"].keys()):
            raise UserError(
                f"{str(path)!r} is not finished: it lacks {abbreviate(lacking)}. Start its "
                "evaluation again"
            )
    return [by_number[i] for i in range(total)]


def _check_settings(first: Shard, shard: Shard, own: Sequence[str]) -> None:
    one, other = (
        {key: value for key, value in each.content["settings"].items() if key not in own}
        for each in (first, shard)
    )
    different = differences(one, other)
    if shard.content["dataset"] != first.content["dataset"]:
        different.insert(0, "another data set")
    # Only one of them may have measured images without corruption.
    for cell in first.content["cells"].keys() & shard.content["cells"].keys():
        one, other = (
            {k: v for k, v in each.content["cells"][cell].items() if k not in _COUNTS}
            for each in (first, shard)
        )
        if "total" in first.content["cells"][cell]:
            different += [f"{cell}: {phrase}" for phrase in differences(one, other)]
    if different:
        raise UserError(
            f"{str(shard.path)!r} (here) and {str(first.path)!r} (there) are of different "
            f"evaluations: {abbreviate(different, 6)}"
        )


def _share(shard: Shard, files: int) -> range:
    """Return the files of a shard, as :func:`gcp_mm.robustness.processes.share` gives them."""
    first, shards = shard.content["settings"]["shard"]
    return range(first, files, shards)


def _files(shard: Shard) -> int:
    settings = shard.content["settings"]
    files = settings["num_samples"] or settings.get("files_per_cell")
    if files is None:
        raise UserError(f"{str(shard.path)!r} lacks 'files_per_cell' among its settings")
    return files


def check_counts(shards: Sequence[Shard], cell: str) -> None:
    """Require that each shard has counted the images of its share.

    Args:
        shards: The shards.
        cell: Of ImageNet-C, or ``clean``, which states its number of files itself.

    Raises:
        UserError: If the total of a shard is another number; names the file and the cell.
    """
    for shard in shards:
        found = shard.content["cells"][cell]
        expected = len(_share(shard, found.get("files") or _files(shard)))
        if found["total"] != expected:
            raise UserError(
                f"{str(shard.path)!r}: {cell} has {found['total']} images, and this shard has "
                f"{expected}. Measure it again"
            )


def check_top5(shards: Sequence[Shard], cell: str, found: Sequence[Top5]) -> None:
    """Require that each shard has kept the clips of its share.

    Args:
        shards: The shards.
        cell: Folder of the perturbation.
        found: The top-5 of each shard.

    Raises:
        UserError: If the clips of a shard are others; names the file and the cell.
    """
    for shard, top5 in zip(shards, found, strict=True):
        expected = np.array(_share(shard, _files(shard)))
        if not np.array_equal(top5.clips, expected):
            raise UserError(
                f"{str(shard.path)!r}: the top-5 file of {cell} has {len(top5.clips)} clips that "
                f"are not the {len(expected)} of this shard. Measure it again"
            )
