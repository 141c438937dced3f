"""What a training or an evaluation imports and reads before it begins, for warm_python.py."""

import importlib
import warnings

import libraries_once  # noqa: F401

from gcp_mm.reproduction.worker import _PRELOAD

# To find it, mmengine reads the metafiles of mmpretrain, 85 of them.
CONFIG = "_base_ = 'mmpretrain::_base_/default_runtime.py'"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in _PRELOAD:
        importlib.import_module(name)
    registry = importlib.import_module("gcp_mm.registry")
    for part in vars(registry).values():
        # What the registries of this project import when they are asked.
        for name in part._locations if isinstance(part, registry.Registry) else ():
            importlib.import_module(name)
importlib.import_module("mmengine.config").Config.fromstring(CONFIG, ".py")
