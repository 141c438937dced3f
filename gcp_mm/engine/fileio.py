"""Cures two habits of mmengine's file layer: YAML that runs code, and files that are half written.

mmengine 0.10 reads with ``yaml.Loader``, and so a config ``x.yml`` runs what ``!!python/object``
says (https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/fileio/handlers/yaml_handler.py).
For each ``package::config`` it reads the hundred metafiles of the package: each is parsed once.
Its local backend writes in place, so that a killed run leaves a part of a checkpoint. Both are
replaced through mmengine's registries of handlers and backends.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any, TextIO

import yaml
from mmengine.fileio import LocalBackend, register_backend, register_handler
from mmengine.fileio.handlers.yaml_handler import YamlHandler

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write

_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Letters of a text that is kept, parsed; metafiles have up to 30,000.
_SHORT = 2**16


class _PlainLoader(_Safe):
    """Numbers, texts and containers; mmengine itself writes tuples, with a tag of Python."""

    def construct_tuple(self, node: yaml.Node) -> tuple:
        """Make a tuple of a sequence."""
        return tuple(self.construct_sequence(node, deep=True))

    def refuse(self, suffix: str, node: yaml.Node) -> None:
        """Say which tag is not followed, and where it is."""
        line = node.start_mark.line + 1
        raise UserError(
            f"line {line} has the tag '!!python/{suffix}', which would run code: nothing was run. "
            "Write the value itself, or make the config a .py file"
        )


_PlainLoader.add_constructor("tag:yaml.org,2002:python/tuple", _PlainLoader.construct_tuple)
_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", _PlainLoader.refuse)


@register_handler(["yaml", "yml"])
class PlainYamlHandler(YamlHandler):
    """mmengine's handler of YAML, without tags that run code."""

    def load_from_fileobj(self, file: TextIO, **kwargs: Any) -> Any:
        """Read a file."""
        if kwargs:
            return super().load_from_fileobj(file, **{"Loader": _PlainLoader, **kwargs})
        text = file.read()
        return copy.deepcopy(_parse(text)) if len(text) < _SHORT else _parse.__wrapped__(text)


@functools.lru_cache(256)
def _parse(text: str) -> Any:
    """Return what a text holds."""
    return yaml.load(text, Loader=_PlainLoader)


@register_backend("gcp_mm_atomic", force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files, written beside their final place and then renamed.

    A training run that is killed while it writes a checkpoint leaves the previous one as it was.
    Configs choose it with ``default_hooks.checkpoint.backend_args=dict(backend='gcp_mm_atomic')``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to ``filepath`` atomically."""
        atomic_write(filepath, obj)
