"""A matplotlib figure without a display, written atomically."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def as_text(name: str) -> str:
    """Return a name as matplotlib takes it for itself."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure; an existing one is replaced only by a complete one."""
    import matplotlib

    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in known:
        raise UserError(
            f"{str(path)!r}: no figure format {path.suffix!r}; one of {', '.join(sorted(known))}"
        )
    # The same figure gives the same bytes, so that a committed one changes only with its content.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(path.suffix[1:])
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "gcp_mm", "svg.fonttype": "none"}):
        figure.savefig(content, format=path.suffix[1:], dpi=150, metadata=metadata)
    return atomic_write(path, content.getvalue(), "figure")
