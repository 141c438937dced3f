"""What a value of ``--cfg-options`` means: mmengine's lists and numbers, but a path stays itself.

mmengine's DictAction takes all blanks and outer quotes out of every value, and makes a list of
what has a comma or is in brackets: ``data_root=/data/my cats, old`` would look for two folders.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

# Last part of the keys that hold one path, in mmengine, mmpretrain and mmdet.
_PATH_KEY = re.compile(r"(^|_)(root|file|filename|path|dir|folder|prefix|from|checkpoint)$")


class OptionText(str):
    """A value as it was typed; what it means depends on its key."""

    __slots__ = ()


class OptionsAction(argparse.Action):
    """Collects ``KEY=VALUE`` words as a dictionary of :class:`OptionText`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: list[str],
        option_string: str | None = None,
    ) -> None:
        """Add the words of one option to those before it."""
        wrong = [value for value in values if not value.partition("=")[1]]
        if wrong:
            parser.error(f"{option_string}: expected KEY=VALUE, got {', '.join(wrong)}")
        options = dict(getattr(namespace, self.dest) or {})
        for word in values:
            key, _, text = word.partition("=")
            options[key] = OptionText(text)
        setattr(namespace, self.dest, options)


def read_options(options: Mapping[str, object], cfg: Mapping) -> dict[str, object]:
    """Turn what was typed into values."""
    return {
        key: _meaning(key, text, cfg) if isinstance(text, OptionText) else text
        for key, text in options.items()
    }


def _meaning(key: str, text: str, cfg: Mapping) -> object:
    """Return the value of one option."""
    if text == "None":
        return None
    several = isinstance(_setting(key, cfg), (list, tuple))
    if not several and (_PATH_KEY.search(key.rpartition(".")[2]) or _is_there(text)):
        return str(text)
    return _parse(text)


def _setting(key: str, cfg: Mapping) -> object:
    """Return what a config has under a dotted key, None if it has nothing there."""
    value: object = cfg
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _is_there(text: str) -> bool:
    """Say whether a text with a slash names something on this machine."""
    try:
        return "/" in text and Path(text).exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _parse(text: str) -> object:
    """Read a list, a tuple or a single value, as mmengine's DictAction without what that drops."""
    text = _unquoted(text.strip())
    if _is_enclosed(text):
        values = [_parse(part) for part in _split(text[1:-1])]
        return tuple(values) if text[0] == "(" else values
    parts = _split(text)
    return _scalar(text) if parts in ([], [text]) else [_parse(part) for part in parts]


def _is_enclosed(text: str) -> bool:
    """Say whether the first letter is a bracket that the last one closes."""
    if len(text) < 2 or f"{text[0]}{text[-1]}" not in ("[]", "()"):
        return False
    depths = itertools.accumulate((c in "[(") - (c in "])") for c in text)
    return 0 not in itertools.islice(depths, len(text) - 1)


def _split(text: str) -> list[str]:
    """Split at the commas outside of brackets; the last may be followed by nothing."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    rest = text[start:]
    return [*parts, rest] if rest.strip() else parts


def _unquoted(text: str) -> str:
    """Take away a pair of quotes around a text."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _scalar(text: str) -> object:
    """Return a number, a boolean or None, if a text is one."""
    # Python also takes 2024_01 and 007 for numbers, which nobody writes but in a name.
    if "_" not in text and not re.match(r"[+-]?0\d", text):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return {"true": True, "false": False}.get(text.lower(), None if text == "None" else text)
