"""Cures mmengine's reading of YAML, which makes any Python object that a tag names.

mmengine 0.10 reads with ``yaml.Loader``, and so a config ``x.yml`` runs what ``!!python/object``
says (https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/fileio/handlers/yaml_handler.py).
"""

from __future__ import annotations

from typing import Any, TextIO

import yaml
from mmengine.fileio import register_handler
from mmengine.fileio.handlers.yaml_handler import YamlHandler

from gcp_mm.errors import UserError

_Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        """Read a file.

        Args:
            file: The open file.
            **kwargs: As in ``yaml.load``.

        Returns:
            What it holds.

        Raises:
            UserError: If it has a tag of Python other than that of tuples.
        """
        kwargs.setdefault("Loader", _PlainLoader)
        return super().load_from_fileobj(file, **kwargs)
