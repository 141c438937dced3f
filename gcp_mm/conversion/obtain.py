"""From a row to weights that this project can load."""

from __future__ import annotations

from pathlib import Path

from gcp_mm.checkpoints.loader import find_checkpoint
from gcp_mm.errors import UserError
from gcp_mm.zoo.download import check_released_file, download_released
from gcp_mm.zoo.rows import CLASSIFICATION, Row
from gcp_mm.zoo.weights import default_checkpoint


def obtain(
    row: Row,
    out: str | Path | None = None,
    from_file: str | Path | None = None,
    url: str | None = None,
    retries: int = 5,
) -> str:
    """Get the weights of a row: download, check and convert them.

    A detector's file is one of mmdet v1.x: it is fetched and checked, not converted.
    """
    convert = row.task == CLASSIFICATION
    if out is not None and not convert:
        raise UserError(f"--out is where a converted file goes; {row.name} is not converted")
    target = Path(out).expanduser() if out else default_checkpoint(row)
    if convert and target.exists():
        if from_file is not None:
            raise UserError(f"{str(target)!r} exists: remove it, or name another file with --out")
        told = f"{target} exists already; remove it to get the weights of {row.name} again"
        return f"{told}\nresults: {target}"
    if row.release is None or from_file is None:
        if url is not None and url.startswith("hf://"):
            raise UserError(f"--url is an http(s) address; --from-file {url} fetches from the hub")
        source = download_released(row, url, retries)
    else:
        source = find_checkpoint(from_file)
    digest = check_released_file(row, source)
    if row.release.sha256 is None:
        checked = "no sha256 of it had been recorded, so this one is not verified"
    else:
        checked = "as recorded"
    lines = [f"released file: {source}", f"sha256: {digest} ({checked})"]
    if convert:
        from gcp_mm.conversion import convert_file

        return "\n".join([*lines, str(convert_file(source, target, row=row.name))])
    lines.append(
        "It was written by mmdet v1.x: mmdet 3 cannot load it as it is. mmdet has a converter, "
        "tools/model_converters/upgrade_model_version.py; it has not been tried on these files"
    )
    lines.append(f"results: {source}")
    return "\n".join(lines)
