"""The tables of the README, between their marker comments."""

from __future__ import annotations

import re
from pathlib import Path

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write, why_absent
from gcp_mm.zoo.rows import load_rows
from gcp_mm.zoo.tables import coco_section, imagenet_section

SECTIONS = {"imagenet": imagenet_section, "coco": coco_section}


def update_readme(path: str | Path, check: bool = False) -> bool:
    """Write the tables of the metafiles into a Markdown file.

    A table stands between ``<!-- zoo:NAME -->`` and ``<!-- /zoo:NAME -->``, NAME being one of
    :data:`SECTIONS`. The rest of the file is left as it is.

    Args:
        path: The file.
        check: Write nothing, and fail if the file would change.

    Returns:
        Whether the file was changed.

    Raises:
        UserError: If the file or a marker is missing, or with ``check`` if a table is out of date.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{str(path)!r} {why_absent(path)} (working folder: {Path.cwd()}); run this in the "
            "source tree, whose README has the tables, or name a file with --path"
        )
    text = updated = path.read_text(encoding="utf-8")
    stale = []
    for name, render in SECTIONS.items():
        before, updated = updated, _replace(updated, name, render(load_rows()), path)
        if updated != before:
            stale.append(name)
    if check and stale:
        raise UserError(
            f"{path}: the tables {', '.join(stale)} are not what the metafiles below configs/ say; "
            f"run `{command_line('zoo')} readme`"
        )
    if stale:
        atomic_write(path, updated)
    return updated != text


def _replace(text: str, name: str, table: str, path: Path) -> str:
    """Put a table between the markers of its name."""
    start, end = f"<!-- zoo:{name} -->", f"<!-- /zoo:{name} -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise UserError(f"{path}: expected one section between {start} and {end}")
    return pattern.sub(lambda _: f"{start}\n\n{table}\n\n{end}", text)
