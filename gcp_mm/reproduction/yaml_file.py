"""A YAML file of somebody, as plain data: of a bounded size, and no key twice.

A few lines of YAML can stand for more values than memory holds, because an alias repeats what it
names: what a file stands for is counted before it is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gcp_mm.errors import UserError

MOST_VALUES = 100_000
"""Values that a file may stand for."""

_LARGEST = 1 << 20
# Of yaml's constructors, for tags such as `!!bool` before what is none.
_UNFIT = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)


def read_yaml(path: Path, what: str) -> Any:
    """Read a file; nothing in it is executed, and one that stands for too much is refused."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError("it is larger than a MiB")
        loader = yaml.SafeLoader(content.decode("utf-8-sig"))
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}") from error
    except _UNFIT as error:
        told = " ".join(str(error).split())[:400]
        raise UserError(f"{what} cannot be read ({type(error).__name__}): {told}") from error


def _check(root: yaml.Node) -> None:
    """Refuse a graph of nodes that is endless, too large as a tree, or has a key twice."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            node.value.encode()  # halves of surrogate pairs are no text
            return 1
        if id(node) in inside:
            raise ValueError(f"a value contains itself, in line {node.start_mark.line + 1}")
        if id(node) not in sizes:
            inside.add(id(node))
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
                parts = [part for pair in node.value for part in pair]
            else:
                parts = node.value
            sizes[id(node)] = 1 + sum(map(size, parts))
            inside.discard(id(node))
        return sizes[id(node)]

    if size(root) > MOST_VALUES:
        raise ValueError(f"with its aliases it stands for more than {MOST_VALUES} values")


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise ValueError(f"the key {key.value!r} is there twice, again in line {line}")
            seen.add((key.tag, key.value))
