"""Cures ``Runner.resume``, which runs the text in ``meta['config']`` of a checkpoint as Python.

mmengine 0.10 hands it to ``Config.fromstring``
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/runner.py). A file of its own:
what installs the loaders is imported while the module of the loaders may not be complete.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def without_code(load: Callable) -> Callable:
    """Wrap a loader: leave out ``meta.config``, which ``Runner.resume`` runs as Python.

    Training checkpoints of mmengine 0.10 have none; those of mmcv 1 had the text of a config.

    Args:
        load: A loader of ``CheckpointLoader``.

    Returns:
        One of the same name, which mmengine logs.
    """

    @functools.wraps(load)
    def loader(filename: str, map_location: Any = None) -> Any:
        loaded = load(filename, map_location)
        meta = loaded.get("meta") if isinstance(loaded, dict) else None
        if isinstance(meta, dict):
            meta.pop("config", None)
        return loaded

    return loader
