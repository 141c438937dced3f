"""A page of results: one object, written as one HTML file or as Markdown with its figures beside.

The HTML needs nothing but itself: drawings, style and numbers are inside, and its content policy
lets a browser load nothing else. It reads on a phone, in the dark, by keyboard, and without
JavaScript, which only sorts tables and offers the numbers as a file.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from gcp_mm.files import atomic_write
from gcp_mm.pages.inline import (
    Piece,
    begin_block,
    escape_markdown,
    html_of,
    markdown_of,
    one_line,
    pieces,
    several_lines,
)
from gcp_mm.pages.svg import part_of_page
from gcp_mm.pages.table import Table

# Of ids and files; what a person or a file named is shown, but names nothing.
_NAME = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)
# A list of the headings helps from so many on.
_MANY_HEADINGS = 3


@dataclass(frozen=True)
class Heading:
    """A heading of level 2, 3 or 4; that of the page has level 1."""

    text: str
    level: int

    def markdown(self) -> str:
        """Write it as Markdown."""
        return f"{'#' * self.level} {escape_markdown(self.text)}"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    parts: tuple[Piece, ...]

    def markdown(self) -> str:
        """Write it as Markdown."""
        return begin_block(markdown_of(self.parts))


@dataclass(frozen=True)
class Figure:
    """A drawing."""

    svg: str
    alt: str
    caption: tuple[Piece, ...]
    name: str

    def markdown(self) -> str:
        """Write a link to its file, and the caption."""
        image = f"![{escape_markdown(self.alt)}]({self.name}.svg)"
        return f"{image}\n\n{begin_block(markdown_of(self.caption))}".rstrip()


@dataclass(frozen=True)
class Code:
    """Commands."""

    text: str

    def markdown(self) -> str:
        """Write them between fences that are longer than any in them."""
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", self.text)), default=0))
        return f"{fence}text\n{self.text}\n{fence}"


class Page:
    """A page of results.

    Title, headings, column names, cells and alternative texts are shown as they are. Paragraphs
    (``lead``, :meth:`text`) and captions know ```code```, ``**bold**`` and ``[links](address)``;
    :func:`gcp_mm.pages.literal` puts any name into them. Wrong arguments are mistakes of the
    caller and raise a ValueError.

    Args:
        title: The heading of the whole.
        lead: What the page shows, in one paragraph.
    """

    def __init__(self, title: str, lead: str) -> None:
        self.title = one_line(title)
        self.lead = Text(pieces(lead))
        self.blocks: list[Heading | Text | Table | Figure | Code] = []
        self.numbers: dict[str, str] = {}

    def heading(self, text: str, level: int = 2) -> None:
        """Begin a section; GitHub's anchor of the heading is its id."""
        if level not in (2, 3, 4):
            raise ValueError(f"a heading of level {level}: 2, 3 or 4")
        self.blocks.append(Heading(one_line(text), level))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.blocks.append(Text(pieces(text)))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        caption: str,
        formats: Mapping[str, str] | None = None,
    ) -> None:
        """Add a table that can be sorted.

        Args:
            columns: Names of the columns.
            rows: Texts, numbers (Python's or NumPy's) and None where there is nothing.
            caption: What the table shows.
            formats: How the numbers of a column are shown, such as ``".2f"`` or ``".1%"``. They are
                sorted by their full value.
        """
        self.blocks.append(Table(columns, rows, pieces(caption), formats or {}))

    def figure(self, svg: str, alt: str, caption: str, name: str) -> None:
        """Add a drawing.

        Args:
            svg: What matplotlib writes as SVG.
            alt: What is seen in it, for those who do not see it.
            caption: What it shows.
            name: Of its file beside the Markdown, without ``.svg``: letters, digits, ``_``, ``-``.
        """
        self._check_name(name, (block.name for block in self.blocks if isinstance(block, Figure)))
        alt = one_line(alt)
        drawing = part_of_page(svg, f"figure-{name}", alt)
        self.blocks.append(Figure(drawing, alt, pieces(caption), name))

    def code(self, text: str) -> None:
        """Add commands."""
        self.blocks.append(Code(several_lines(text).strip("\n")))

    def data(self, name: str, value: Any) -> None:
        """Put plain data into the HTML, as JSON in the element of this id; NaN becomes null."""
        self._check_name(name, ("content", *self.numbers))
        if name.startswith("figure-"):
            raise ValueError(f"the name {name!r}: ids in drawings begin so")
        text = json.dumps(_plain(value), allow_nan=False)
        # A browser ends the element at the first </script>, whatever the text around it.
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        self.numbers[name] = text

    def write_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the page as one HTML file."""
        assets = {kind: _asset(f"page.{kind}") for kind in ("css", "js")}
        anchors = self._anchors()
        headings = [
            (anchor, block.text)
            for anchor, block in zip(anchors, self.blocks, strict=True)
            if isinstance(block, Heading) and block.level == 2
        ]
        script = hashlib.sha256(assets["js"].encode()).digest()
        text = _template().render(
            page=self,
            blocks=list(zip(anchors, self.blocks, strict=True)),
            headings=headings if len(headings) >= _MANY_HEADINGS else [],
            style=Markup(assets["css"]),
            script=Markup(assets["js"]),
            script_hash=base64.b64encode(script).decode(),
            numbers={name: Markup(text) for name, text in self.numbers.items()},
        )
        return atomic_write(path, text, "page")

    def write_markdown(self, path: str | os.PathLike[str]) -> Path:
        """Write the page as Markdown, and its drawings as SVG beside it; data are left out."""
        path = Path(path)
        for block in self.blocks:
            if isinstance(block, Figure):
                atomic_write(path.with_name(f"{block.name}.svg"), f"{block.svg}\n", "figure")
        parts = [f"# {escape_markdown(self.title)}", self.lead.markdown()]
        parts += [block.markdown() for block in self.blocks]
        return atomic_write(path, "\n\n".join(filter(None, parts)) + "\n", "page")

    def _anchors(self) -> list[str]:
        """Return an id for every block, different from each other and from all others."""
        # `content` is the whole, and the ids in drawings begin with `figure-`.
        taken, anchors = {"content", *self.numbers}, []
        for number, block in enumerate(self.blocks, 1):
            if isinstance(block, Heading):
                # As GitHub makes them from headings.
                wanted = re.sub(r"[^\w\- ]", "", block.text.lower()).replace(" ", "-")
                if not wanted or wanted.startswith("figure-"):
                    wanted = f"section-{wanted}".rstrip("-")
            else:
                wanted = f"block-{number}"
            anchor, again = wanted, 0
            while anchor in taken:
                again += 1
                anchor = f"{wanted}-{again}"
            taken.add(anchor)
            anchors.append(anchor)
        return anchors

    def _check_name(self, name: str, taken: Iterable[str]) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name {name!r}: letters, digits, '_' and '-'")
        if name in taken:
            raise ValueError(f"the name {name!r} is there twice")


@functools.cache
def _template() -> Template:
    """Return the template of a page; to translate it takes longer than to fill it in."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"marked": html_of, "drawing": Markup}
    return environment.from_string(_asset("page.html"))


def _asset(name: str) -> str:
    return files("gcp_mm.pages").joinpath(name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    """Turn arrays into lists, and numbers that JSON does not have into None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
