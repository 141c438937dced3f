"""Lists that people write: one entry a line, in whatever encoding their editor chose."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmengine.fileio import get

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"": "utf-8",
}


def read_lines(path: str) -> list[str]:
    """Read the lines of a text file, without their ends.

    UTF-8, or UTF-16 and UTF-32 with a byte order mark, which is no part of the first line. Lines
    end in LF, CRLF or CR.
    """
    try:
        content = bytes(get(path if "://" in path else str(Path(path).expanduser())))
    except OSError as error:
        raise UserError(f"list {path!r} cannot be read: {error}") from error
    mark = next(filter(content.startswith, _MARKS))
    content, encoding = content.removeprefix(mark), _MARKS[mark]
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path!r}, line {number}: no {encoding.upper()} text. Save the list as UTF-8"
        ) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise UserError(f"{path!r}, line {number}: no text. Save the list as UTF-8")
    return lines[:-1] if lines[-1] == "" else lines


def read_class_names(path: str) -> list[str]:
    """Read the names of classes in the order of their labels, one a line.

    Blanks around a name and empty lines at the end are no part of it. Nothing else is guessed: a
    line that is left out or that means two names would shift every label behind it.
    """
    lines = [line.strip() for line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return check_class_names(lines, path)


def check_order(names: object, source: str) -> None:
    """Refuse a set, whose order differs from process to process, and a table of labels."""
    if isinstance(names, (set, frozenset, Mapping)):
        some = ", ".join(sorted(map(repr, names))[:3])
        raise UserError(
            f"{source}: the label of a class is its place, which a {type(names).__name__} does not "
            f"give it; write a list in the order of the labels, such as [{some}, ...]"
        )


def check_class_names(names: Iterable[object], source: str) -> list[str]:
    """Check names of classes that come from a list."""
    check_order(names, source)
    seen: dict[str, int] = {}
    for number, name in enumerate(map(str, names), 1):
        where = f"{source!r}, line {number} ({name!r})"
        advice = "Write one class name a line, in the order of the labels, and nothing else"
        if not name.strip():
            raise UserError(f"{where} is empty, which would be a class without a name. {advice}")
        if "\t" in name:
            columns = len(name.split("\t"))
            raise UserError(f"{where} has {columns} columns, separated by tabs. {advice}")
        if is_quoted(name):
            raise UserError(f"{where} is in quotes, which would be part of the name. {advice}")
        if name in seen:
            raise UserError(f"{where} is the class of line {seen[name]} again. {advice}")
        seen[name] = number
    if not seen:
        raise UserError(f"{source!r} holds no class name")
    return list(seen)


def how_alike(ours: Iterable[str], theirs: Iterable[str]) -> str:
    """Name the pairs, if any, that a person may take for one name, and in what they differ."""

    def compose(name: str) -> str:
        return unicodedata.normalize("NFC", name)

    def plain(name: str) -> str:
        return "".join(compose(name).casefold().replace("_", " ").replace("-", " ").split())

    others = {plain(name): name for name in theirs}
    pairs = [(name, others[plain(name)]) for name in ours if plain(name) in others]
    if not pairs:
        return ""
    is_stored = all(compose(name) == compose(other) for name, other in pairs)
    named = abbreviate(f"{name!r} and {other!r}" for name, other in pairs)
    return f"{'how accents are stored' if is_stored else 'capitals or blanks'}: {named}"


def is_quoted(text: str) -> bool:
    """Say whether a text begins or ends with a quote that spreadsheets put around cells."""
    return len(text) > 1 and (text[0] == '"' or text[-1] == '"')
