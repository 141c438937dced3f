"""The text of a config as data: nothing in it is ever run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

# Of a text that comes out of a file; a config of a detector has some 10 kB.
_LONGEST = 1_000_000


def read_config_text(text: Any) -> dict[str, Any] | None:
    """Read what ``Config.pretty_text`` writes, as every checkpoint of mmengine holds it.

    Names such as ``inf`` stay text. None if the text is something else.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        return None
    try:
        return {
            node.targets[0].id: _value(node.value)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    """Turn one node into data; what is no literal stays text."""
    if isinstance(node, ast.Call):
        # dict({'a b': 1}) where a key is no name.
        given = [_value(argument) for argument in node.args]
        if not isinstance(node.func, ast.Name) or node.func.id != "dict" or len(given) > 1:
            return ast.unparse(node)
        named = {keyword.arg: _value(keyword.value) for keyword in node.keywords}
        return {**given[0], **named} if given else named
    if isinstance(node, ast.Dict):
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(map(str, keys), map(_value, node.values), strict=True))
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def changes(old: Any, new: Any, key: str) -> Iterator[str]:
    """Yield ``key: old, now new`` for each value of a setting that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            # Pretrained weights are not looked at by a run that continues.
            if name not in ("init_cfg", "pretrained", "_scope_"):
                yield from changes(old.get(name), new.get(name), f"{key}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from changes(before, after, f"{key}.{index}")
    elif old != new:
        yield f"{key}: {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
