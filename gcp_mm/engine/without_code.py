"""Cures three places of mmengine that run text out of a checkpoint as Python.

mmengine 0.10 hands ``meta['config']`` (``Runner.resume``) and, where an inferencer is given weights
alone, ``message_hub['runtime_info']['cfg']`` or ``meta['cfg']`` to ``Config.fromstring``
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/runner.py,
https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/infer/infer.py). A file of its own:
what installs the loaders is imported while the module of the loaders may not be complete.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from gcp_mm.engine.config_text import read_config_text
from gcp_mm.errors import UserError


class _WithoutText(dict):
    """A part of a checkpoint; who asks for the text that was left out reads what to do."""

    def __init__(self, content: dict, advice: dict[str, str]) -> None:
        super().__init__(content)
        self._advice = advice

    def __missing__(self, key: Any) -> Any:
        if key in self._advice:
            raise UserError(self._advice[key])
        raise KeyError(key)

    def __reduce__(self) -> tuple:
        """Copy and pickle as a plain dict, so that no other file needs this class."""
        return dict, (dict(self),)


def without_code(load: Callable) -> Callable:
    """Wrap a loader: leave out the texts that mmengine runs as Python.

    A training that is resumed has its own config, and writes that into its next checkpoint.

    Args:
        load: A loader of ``CheckpointLoader``.

    Returns:
        One of the same name, which mmengine logs. It refuses what holds no weights.
    """

    @functools.wraps(load)
    def loader(filename: str, map_location: Any = None) -> Any:
        from gcp_mm.engine.checkpoint_form import check_form

        loaded = load(filename, map_location)
        # A dict or a function can name the meta device, too.
        plain_device = map_location is None or isinstance(map_location, str | torch.device)
        check_form(loaded, filename, not plain_device or str(map_location) == "meta")
        loaded = _leave_out(loaded, filename) if "state_dict" in loaded else loaded
        return _without_wrappers(loaded, filename)

    return loader


def _without_wrappers(loaded: dict, filename: str) -> dict:
    """Take the prefixes of wrappers off the names; mmengine takes off one ``module.`` alone."""
    from mmengine.logging import print_log

    from gcp_mm.engine.coverage import wrapper_prefix

    weights = loaded.get("state_dict", loaded)
    prefix = wrapper_prefix(weights)
    if prefix in ("", "module."):
        return loaded
    print_log(f"{filename}: the names of the weights are taken without {prefix!r}", "current")
    weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    if "state_dict" not in loaded:
        return weights
    loaded["state_dict"] = weights
    return loaded


def _leave_out(loaded: dict, filename: str) -> dict:
    """Take ``config`` and ``cfg`` out of a checkpoint, and say so where they are asked for."""
    give = f"give the config as well: DetInferencer(model='config.py', weights={filename!r})"
    loaded, meta = dict(loaded), loaded.get("meta")
    if meta is not None:
        loaded["meta"] = {k: v for k, v in meta.items() if k not in ("config", "cfg")}
        if settings := read_config_text(meta.get("cfg")):
            # As data, for those that compare it.
            loaded["meta"]["settings"] = settings
    hub = loaded.get("message_hub")
    if hub is None:
        return _WithoutText(
            loaded,
            {
                "message_hub": f"checkpoint {filename!r} has no message_hub: it holds weights, and "
                f"neither a training to continue nor a config to build a network from; {give}"
            },
        )
    info = hub.get("runtime_info", {})
    if not isinstance(info, dict):
        return loaded
    text = f"checkpoint {filename!r}: the config in it is text that could do anything, and is not"
    advice = {"cfg": f"{text} run; {give}"}
    info = {key: value for key, value in info.items() if key != "cfg"}
    loaded["message_hub"] = {**hub, "runtime_info": _WithoutText(info, advice)}
    return loaded
