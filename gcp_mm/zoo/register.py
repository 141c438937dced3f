"""The classification rows in mmpretrain's ``ModelHub``."""

from __future__ import annotations

import warnings
from types import ModuleType

from gcp_mm.errors import UserError
from gcp_mm.zoo.rows import zoo_root
from gcp_mm.zoo.weights import SCHEME

METAFILE = "configs/imagenet/metafile.yml"


def register_models(module: ModuleType) -> None:
    """Make ``mmpretrain.list_models``, ``get_model`` and the inferencers know the rows.

    The detectors stay out, because mmpretrain can build but not run them. Calling it again does
    nothing.

    Args:
        module: ``mmpretrain.apis.model``, which has no discovery of plugins of its own.
    """
    try:
        root = zoo_root()
    except UserError as error:
        # An `import mmpretrain` must not fail for that.
        warnings.warn(f"the models of gcp_mm are not registered: {error}", stacklevel=2)
        return
    models, metafile = module.ModelHub._models_dict, str(root / METAFILE)
    if any(model.filepath == metafile for model in models.values()):
        return
    module.ModelHub.register_model_index(metafile, config_prefix=root)
    for name, model in models.items():
        if model.filepath == metafile:
            # Without weights, get_model(name, pretrained=True) and the inferencers warn and go on
            # with random numbers. The scheme loads a file that is there, or says how to get it.
            model.weights = SCHEME + name
