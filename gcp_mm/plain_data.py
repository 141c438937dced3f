"""JSON files of people: read, compared with the form that they have to have, and told apart.

A form is a :class:`Kind` of value, ``{"key": form, "optional?": form}``, :class:`ListOf` or
:class:`TableOf`. Further keys may be there. :func:`differences` says in words in which settings two
measurements differ. The standard library alone is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError


@dataclass(frozen=True)
class Kind:
    """A value that is no container.

    Attributes:
        name: What is expected, in words.
        fits: Says whether a value is one.
    """

    name: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class ListOf:
    """A list whose entries have a form."""

    form: Any


@dataclass(frozen=True)
class TableOf:
    """An object whose values have a form, and whose keys are these names, if any are given."""

    form: Any
    names: frozenset[str] | None = None


@dataclass(frozen=True)
class Maybe:
    """A form, or null."""

    form: Any


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return number and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXT = Kind("a text", lambda value: isinstance(value, str))
NUMBER = Kind("a finite number", _is_number)
COUNT = Kind("a whole number from 0", _is_count)
POSITIVE = Kind("a whole number from 1", lambda value: _is_count(value) and value > 0)
FRACTION = Kind("a fraction from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)


def format_head(name: str, version: int) -> dict[str, Kind]:
    """Return the form of what tells the kind of a JSON file: its format and version."""
    return {
        "format": Kind(repr(name), lambda value: value == name),
        "version": Kind(str(version), lambda value: COUNT.fits(value) and value == version),
    }


def why_unfit(value: Any, form: Any, where: str = "") -> str | None:
    """Say where a value has another form than it should have; None if it fits."""
    if isinstance(form, Maybe):
        return None if value is None else why_unfit(value, form.form, where)
    if isinstance(form, Kind):
        return None if form.fits(value) else f"{where or 'it'} is {_short(value)}, not {form.name}"
    if isinstance(form, ListOf):
        if not isinstance(value, list):
            return f"{where or 'it'} is {_short(value)}, not a list"
        parts = [(str(index), entry, form.form) for index, entry in enumerate(value)]
    elif not isinstance(value, dict):
        return f"{where or 'it'} is {_short(value)}, not an object"
    elif isinstance(form, TableOf):
        known = form.names
        if known is not None and (unknown := [key for key in value if key not in known]):
            return f"{where or 'it'} has the unknown name {_short(unknown[0])}"
        parts = [(key, entry, form.form) for key, entry in value.items()]
    else:
        required = [key for key in form if not key.endswith("?")]
        if missing := [key for key in required if key not in value]:
            return f"{where or 'it'} lacks {', '.join(map(repr, missing))}"
        parts = [
            (name, value[name], part)
            for key, part in form.items()
            if (name := key.removesuffix("?")) in value
        ]
    prefix = f"{where}/" if where else ""
    found = (why_unfit(entry, part, f"{prefix}{name}") for name, entry, part in parts)
    return next(filter(None, found), None)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; a UserError says why it is none, without its path."""
    text = Path(path).read_bytes()
    try:
        content = json.loads(
            text.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite
        )
        if b"\\ud" in text.lower():
            # Half of a pair of escapes is no text.
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"no JSON file ({type(error).__name__}: {error})") from error
    return content


def read_note(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an object that this package keeps beside a file; empty if there is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        note = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(note, dict):
            return note
    return {}


def part_of(content: Any, key: str) -> Mapping[str, Any]:
    """Return an entry that is a mapping; empty if it is absent or of another form."""
    entry = content.get(key) if isinstance(content, Mapping) else None
    return entry if isinstance(entry, Mapping) else {}


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _short(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


# Controls other than tab and line breaks, halves of surrogate pairs (bytes of file names that are
# no text) and signs that are none: XML and HTML have no way to write them.
_NO_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def text_only(text: str) -> str:
    """Replace what is no text by a sign for that."""
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def digest(value: Any) -> str:
    """Return the SHA-256 of plain data, in which the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def differences(
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
) -> list[str]:
    """Name the settings in which two measurements differ, with both values."""
    keys = found.keys() | wanted.keys() if only is None else set(only)
    return [
        f"{key} is {found.get(key)!r} there and {wanted.get(key)!r} here"
        for key in sorted(keys - set(without))
        if found.get(key) != wanted.get(key)
    ]
