"""A matplotlib figure without a display, written atomically."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.plain_data import text_only

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def as_text(name: str) -> str:
    """Return a name as matplotlib takes it for itself."""
    name = text_only(name).replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure; an existing one is replaced only by a complete one."""
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in known:
        raise UserError(
            f"{str(path)!r}: no figure format {path.suffix!r}; one of {', '.join(sorted(known))}"
        )
    return atomic_write(path, _content(figure, path.suffix[1:]), "figure")


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG, for a page that it is a part of."""
    return _content(figure, "svg").decode()


def _content(figure: Figure, form: str) -> bytes:
    """Draw; the same figure gives the same bytes, so that a committed one changes only with it."""
    import matplotlib

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "gcp_mm", "svg.fonttype": "none"}):
        figure.savefig(content, format=form, dpi=150, metadata=metadata)
    return content.getvalue()
