"""Everything that importing the plugin changes in OpenMMLab, through public hooks only."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, TracebackType

from gcp_mm.errors import UserError


def _allow_prefix(module: ModuleType) -> None:
    # Without the entry `_base_='gcp_mm::...'` is refused:
    # https://github.com/open-mmlab/mmengine/issues/1581
    module.MODULE2PACKAGE.setdefault("gcp_mm", "gcp_mm")


def _install_backend(_: ModuleType) -> None:
    importlib.import_module("gcp_mm.engine.fileio")


def _install_loaders(module: ModuleType) -> None:
    importlib.import_module("gcp_mm.checkpoints.loader")

    from gcp_mm.checkpoints.without_code import without_code
    from gcp_mm.zoo.weights import SCHEME, load_from_zoo

    module.CheckpointLoader.register_scheme(SCHEME, without_code(load_from_zoo), force=True)


# The two that import a module which installs itself take nothing out of it: it may be the one whose
# import has led here, and hold nothing yet.
_CHANGES: dict[str, Callable[[ModuleType], None] | str] = {
    "mmengine.config.utils": _allow_prefix,
    "mmengine.fileio": _install_backend,
    "mmengine.runner.checkpoint": _install_loaders,
    "mmengine.utils.dl_utils.collect_env": "gcp_mm.engine.import_cures:provide_distutils",
    "mmengine.utils.dl_utils.misc": "gcp_mm.engine.import_cures:provide_find_loader",
    "mmcv.utils.ext_loader": "gcp_mm.engine.import_cures:provide_find_loader",
    "mmdet": "gcp_mm.engine.import_cures:read_seaborn_when_used",
    "mmpretrain.apis.image_classification": "gcp_mm.images.load_image:read_by_the_pipeline",
    "mmpretrain.apis.model": "gcp_mm.zoo.weights:register_models",
}


def _tell_errors_in_one_line() -> None:
    """End OpenMMLab's own tools, which mim starts, with the one line that ours end with."""
    if ".mim/tools/" not in Path(sys.argv[0] if sys.argv else "").as_posix():
        return
    before = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        from gcp_mm.console.machine_errors import explain

        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        elif told := str(error) if isinstance(error, UserError) else explain(error):
            print(f"error: {told}", file=sys.stderr)
        else:
            before(kind, error, traceback)

    sys.excepthook = excepthook


@functools.cache
def activate() -> None:
    """Prepare the ``gcp_mm::`` prefix, file backend, loaders, models and mmcv's operators.

    Each change happens when the module that it changes has been imported, at once if it has been
    already. So the order of imports does not matter, and no OpenMMLab package is imported here.
    Calling it again does nothing.
    """
    try:
        import wrapt
    except ModuleNotFoundError as error:
        # The layer needs torch alone, and there is nothing to change where OpenMMLab is absent.
        if find_spec("mmengine") is None:
            return
        raise ModuleNotFoundError(
            "gcp_mm needs wrapt where mmengine is installed: pip install wrapt", name="wrapt"
        ) from error
    _tell_errors_in_one_line()
    importlib.import_module("gcp_mm.mmcv_ext.finder")
    for name, change in _CHANGES.items():
        wrapt.register_post_import_hook(change, name)
