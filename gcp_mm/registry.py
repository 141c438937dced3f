"""Registries of the scope ``gcp_mm``.

They are children of mmengine's root registries, so ``type='gcp_mm.X'`` resolves from mmpretrain
and from mmdet alike. mmengine imports this module, and then the locations below, the first time
that it meets the prefix: a config needs no ``custom_imports`` to find a class.
"""

import importlib
from collections.abc import Iterable

from mmengine import registry as root
from mmengine.registry import Registry

from gcp_mm.first_process import warn


def _child(parent: Registry, *locations: str) -> Registry:
    """Return a registry for what the parent's is for; it imports the locations when it is asked."""
    return Registry(parent.name, parent=parent, scope="gcp_mm", locations=list(locations))


MODELS = _child(root.MODELS, "gcp_mm.models")
DATASETS = _child(root.DATASETS, "gcp_mm.datasets.register")
HOOKS = _child(
    root.HOOKS, "gcp_mm.engine.hooks", "gcp_mm.engine.epoch_seed", "gcp_mm.landscape.hook"
)
FUNCTIONS = _child(root.FUNCTIONS, "gcp_mm.engine.epoch_seed")
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, "gcp_mm.engine.hooks.speed")
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, "gcp_mm.engine.amp")
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, "gcp_mm.engine.schedules")
METRICS = _child(root.METRICS, "gcp_mm.robustness.metrics", "gcp_mm.datasets.register")
RUNNERS = _child(root.RUNNERS, "gcp_mm.engine.output")
TRANSFORMS = _child(root.TRANSFORMS, "gcp_mm.images.load_image")


def import_available(modules: Iterable[str]) -> None:
    """Import modules for what they register, up to the first that cannot be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        # mmdet asserts its version windows instead of raising ImportError.
        except (ImportError, AssertionError) as error:
            warn(
                f"{module} is not available: {error}. `python -m gcp_mm.doctor` lists what to "
                "install"
            )
            return
