"""What libraries do again and again in the tests is done once.

Nothing of what is tested changes: a file is read again if it has changed, and a text that is
formatted or an operator that is listed is the same each time.
"""

import ast
import contextlib
import functools
import gc
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
import wrapt
from shared_folder import REPO

CONFIGS = str(REPO / "configs") + os.sep
INSTALLED = "/.mim/configs/"


def _read_metafiles_once(module: ModuleType) -> None:
    """Let mmengine.config.utils read a metafile again only if it has changed.

    It reads all those of a package, about a hundred, for each ``package::config``.
    """
    load = module.load

    @functools.cache
    def load_version(path: str, changed: int) -> object:
        return load(path)

    module.load = lambda path: load_version(path, Path(path).stat().st_mtime_ns)


def _ask_for_packages_once(module: ModuleType) -> None:
    """Let mmengine.config.config ask once for a package: it lists all distributions each time."""
    module.is_installed = functools.cache(module.is_installed)


def _format_once(module: ModuleType) -> None:
    """Let yapf, from which mmengine and its forks take it, format the text of a config once.

    A run formats it for the log, for two files and in each checkpoint.
    """
    format_code = module.FormatCode

    @functools.lru_cache(8)
    def format_once(text: str, options: str) -> object:
        return format_code(text, **ast.literal_eval(options))

    module.FormatCode = lambda text, **options: format_once(text, repr(options))


def _read_configs_once(module: ModuleType) -> None:
    """Let mmengine.config read a published config again only if it or a base of it has changed.

    Each config has five bases and more, and each of them takes as long as the config itself.
    """
    read = module.Config._file2dict
    known: dict[tuple, tuple[dict[str, int], bytes]] = {}
    reading: list[list[str]] = []

    @functools.wraps(read)
    def read_once(filename: str, *arguments: object, **options: object) -> tuple:
        key = (str(Path(filename).absolute()), repr((arguments, options)))
        files, content = known.get(key, ({}, b""))
        if not content or any(_written(file) != time for file, time in files.items()):
            reading.append([key[0]])
            try:
                found = read(filename, *arguments, **options)
            finally:
                files = {file: _written(file) for file in reading.pop()}
            published = all(file.startswith(CONFIGS) or INSTALLED in file for file in files)
            content = pickle.dumps(found) if published and not found[2] else b""
            known[key] = files, content
        for outer in reading[-1:]:
            outer += files
        return pickle.loads(content) if content else found

    module.Config._file2dict = staticmethod(read_once)


def _written(path: str) -> int:
    """Return when a file was written last, and 0 if there is none."""
    with contextlib.suppress(OSError):
        return Path(path).stat().st_mtime_ns
    return 0


def _draw_nothing_for_meta() -> None:
    """Let networks on the meta device, whose tensors have no numbers, start without drawing any.

    It takes a tensor there as many milliseconds as its initialisation has steps.
    """

    def unless_meta(start: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @functools.wraps(start)
        def started(tensor: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
            return tensor if tensor.is_meta else start(tensor, *arguments, **options)

        return started

    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_"):
        setattr(torch.nn.init, name, unless_meta(getattr(torch.nn.init, name)))


def _list_operators_once(module: ModuleType) -> None:
    """Let onnxscript list once what it translates: it parses 500 functions for each file."""
    module.get_torchlib_ops = functools.cache(module.get_torchlib_ops)


_draw_nothing_for_meta()
for models in ("mmdet.models", "mmpretrain.models"):  # which some tests import later
    wrapt.register_post_import_hook(lambda module: gc.freeze(), models)
wrapt.register_post_import_hook(_read_metafiles_once, "mmengine.config.utils")
wrapt.register_post_import_hook(_read_configs_once, "mmengine.config.config")
wrapt.register_post_import_hook(_ask_for_packages_once, "mmengine.config.config")
wrapt.register_post_import_hook(_format_once, "yapf.yapflib.yapf_api")
wrapt.register_post_import_hook(_list_operators_once, "onnxscript._framework_apis.torch_2_5")
