"""A matplotlib figure without a display, written atomically."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.plain_data import text_only

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
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


def _save_drawn_once(figure: Figure, content: io.BytesIO, **options: Any) -> None:
    """Save as ``savefig`` does, with the same bytes, but arrange where it draws to arrange.

    matplotlib draws a figure first with its layout engine, throws that away, and then draws it
    without one.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    draw = figure.draw
    is_drawn = False

    def draw_or_arrange(renderer: RendererBase) -> None:
        nonlocal is_drawn
        engine = figure.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine):
            engine.execute(figure)
        else:
            draw(renderer)
            is_drawn = True

    figure.draw = draw_or_arrange  # type: ignore[method-assign]
    try:
        figure.savefig(content, **options)
    finally:
        del figure.draw
    if not is_drawn:  # by a matplotlib that keeps the engine: better twice than an empty figure
        content.truncate(0)
        content.seek(0)
        figure.savefig(content, **options)


def _content(figure: Figure, form: str) -> bytes:
    """Draw; the same figure gives the same bytes, so that a committed one changes only with it."""
    import matplotlib

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    content = io.BytesIO()
    settings = {"svg.hashsalt": "gcp_mm", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        _save_drawn_once(figure, content, format=form, dpi=150, metadata=metadata)
    return content.getvalue()
