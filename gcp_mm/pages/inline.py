r"""Text of a page: what is marked in it, and how HTML and Markdown are kept from reading more.

A paragraph or a caption knows ```code```, ``**bold**`` and ``[links](address)``; a backslash takes
the meaning from the sign after it. Names of runs and files go in through :func:`literal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from gcp_mm.plain_data import text_only

_MARKED = re.compile(
    r"""\\(?P<sign>[!-/:-@\[-`{-~])
    |`(?P<code>[^`\n]+)`
    |\*\*(?P<bold>(?:\\.|[^*\\])+?)\*\*
    |\[(?P<link>(?:\\.|[^\[\]\\])+)\]\((?P<address>[^\s()<>"'`\\]+)\)""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile("[ \t\n\r\x85\u2028\u2029]+")
_SCHEMES = ("", "http", "https", "mailto")
# What begins something else than a paragraph, in CommonMark or in MyST.
_BLOCK = re.compile(r"\A(?:(?P<number>\d+)(?=[.)]))?(?P<sign>(?(number)[.)]|[+=:%(-]))")


class Piece(NamedTuple):
    """A piece of a text; ``inside`` are the pieces that it marks."""

    kind: str
    text: str = ""
    inside: tuple[Piece, ...] = ()


def literal(name: object) -> str:
    """Write a name so that a paragraph or a caption shows it as it is."""
    return re.sub(r"([\\`*\[\]])", r"\\\1", one_line(str(name)))


def several_lines(text: str) -> str:
    """Replace what is no text by a sign for that."""
    return text_only(text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Replace what is no text by a sign for that, and breaks by a space."""
    return text_only(_SPACE.sub(" ", text)).strip(" ")


def pieces(text: str) -> tuple[Piece, ...]:
    """Take a paragraph apart."""
    return tuple(_pieces(one_line(text)))


def _pieces(text: str) -> Iterator[Piece]:
    end = 0
    for found in _MARKED.finditer(text):
        if text[end : found.start()]:
            yield Piece("text", text[end : found.start()])
        end = found.end()
        if found["sign"]:
            yield Piece("text", found["sign"])
        elif found["code"]:
            yield Piece("code", found["code"])
        elif found["bold"]:
            # Markdown has no bold text that begins or ends with a space.
            for part in re.split(r"(\A +| +\Z)", found["bold"]):
                if part.strip(" "):
                    yield Piece("bold", inside=tuple(_pieces(part)))
                elif part:
                    yield Piece("text", part)
        elif _is_address(found["address"]):
            yield Piece("link", found["address"], tuple(_pieces(found["link"])))
        else:
            yield Piece("text", found[0])
    if text[end:]:
        yield Piece("text", text[end:])


def _is_address(address: str) -> bool:
    try:
        return urlsplit(address).scheme in _SCHEMES
    except ValueError:  # half of an IPv6 address
        return False


def html_of(parts: tuple[Piece, ...]) -> Markup:
    """Write the pieces of a paragraph as HTML."""
    return Markup("").join(_html_of(piece) for piece in parts)


def _html_of(piece: Piece) -> Markup:
    if piece.kind == "code":
        return Markup("<code>{}</code>").format(piece.text)
    if piece.kind == "bold":
        return Markup("<strong>{}</strong>").format(html_of(piece.inside))
    if piece.kind == "link":
        return Markup('<a href="{}">{}</a>').format(piece.text, html_of(piece.inside))
    return escape(piece.text)


def markdown_of(parts: tuple[Piece, ...]) -> str:
    """Write the pieces of a paragraph as Markdown."""
    # Signs next to one another are escaped as what they are together.
    text, plain = "", ""
    for piece in parts:
        if piece.kind == "text":
            plain += piece.text
            continue
        text, plain = text + escape_markdown(plain), ""
        if piece.kind == "link" and text.endswith("!"):
            # Not an image.
            text = f"{text[:-1]}\\!"
        inside = markdown_of(piece.inside)
        # Markdown reads entities in addresses too.
        address = piece.text.replace("&", "&amp;")
        marked = {"bold": f"**{inside}**", "link": f"[{inside}]({address})"}
        # Two backticks together would be another sign.
        space = " " if piece.kind == "code" and text.endswith("`") else ""
        text += space + marked.get(piece.kind, f"`{piece.text}`")
    return text + escape_markdown(plain)


def escape_markdown(text: str) -> str:
    """Escape a text of one line for Markdown, wherever it stands in a line but at its beginning."""
    # Entities, because not every reader takes a backslash before these.
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    # The underscores of resnet50_gcp mark nothing.
    return re.sub(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def name_in_markdown(name: object) -> str:
    """Write a name so that Markdown shows it as it is, in the cell of a table or after a text."""
    return escape_markdown(one_line(str(name)))


def begin_block(markdown: str) -> str:
    """Keep a paragraph from beginning as a list, a heading or a comment."""
    return _BLOCK.sub(lambda begin: f"{begin['number'] or ''}\\{begin['sign']}", markdown, count=1)
