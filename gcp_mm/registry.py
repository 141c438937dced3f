"""Registries of the scope ``gcp_mm``.

They are children of mmengine's root registries, so ``type='gcp_mm.X'`` resolves from mmpretrain
and from mmdet alike. mmengine imports this module, and then the locations below, the first time
that it meets the prefix: a config needs no ``custom_imports`` to find a class.
"""

import importlib
import logging
from collections.abc import Iterable

from mmengine.logging import print_log
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    "model",
    parent=MMENGINE_MODELS,
    scope="gcp_mm",
    locations=["gcp_mm.models"],
)
DATASETS = Registry(
    "dataset",
    parent=MMENGINE_DATASETS,
    scope="gcp_mm",
    locations=["gcp_mm.datasets.register"],
)
HOOKS = Registry(
    "hook",
    parent=MMENGINE_HOOKS,
    scope="gcp_mm",
    locations=["gcp_mm.engine.hooks", "gcp_mm.landscape.hook"],
)
LOG_PROCESSORS = Registry(
    "log processor",
    parent=MMENGINE_LOG_PROCESSORS,
    scope="gcp_mm",
    locations=["gcp_mm.engine.hooks.speed"],
)
OPTIM_WRAPPERS = Registry(
    "optimizer wrapper",
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope="gcp_mm",
    locations=["gcp_mm.engine.amp"],
)
PARAM_SCHEDULERS = Registry(
    "parameter scheduler",
    parent=MMENGINE_PARAM_SCHEDULERS,
    scope="gcp_mm",
    locations=["gcp_mm.engine.poly_to_end_lr"],
)
METRICS = Registry(
    "metric",
    parent=MMENGINE_METRICS,
    scope="gcp_mm",
    locations=["gcp_mm.robustness.metrics", "gcp_mm.datasets.register"],
)
RUNNERS = Registry(
    "runner",
    parent=MMENGINE_RUNNERS,
    scope="gcp_mm",
    locations=["gcp_mm.engine.output"],
)
TRANSFORMS = Registry(
    "transform",
    parent=MMENGINE_TRANSFORMS,
    scope="gcp_mm",
    locations=["gcp_mm.images.load_image"],
)


def import_available(modules: Iterable[str]) -> None:
    """Import modules for what they register, up to the first that cannot be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        # mmdet asserts its version windows instead of raising ImportError.
        except (ImportError, AssertionError) as error:
            print_log(
                f"{module} is not available: {error}. `python -m gcp_mm.doctor` lists what to "
                "install",
                logger="current",
                level=logging.WARNING,
            )
            return
