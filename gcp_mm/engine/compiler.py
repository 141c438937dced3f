"""What ``compile=True`` needs at run time: a compiler, which torch does not bring."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from gcp_mm.errors import UserError

_WITHOUT = "or train without it (--cfg-options compile=False)"


def _missing(device: str) -> str | None:
    """Return what TorchInductor would fail for on a device, with the package that has it."""
    if device == "cpu":
        command = (os.environ.get("CXX") or "g++").split()[0]
        if shutil.which(command) is None:
            return f"a C++ compiler, and {command!r} is not found: apt-get install g++, or set CXX"
    else:
        # Triton writes the code that starts its kernels in C.
        commands = (os.environ["CC"].split()[0],) if os.environ.get("CC") else ("gcc", "clang")
        if not any(map(shutil.which, commands)):
            return (
                f"a C compiler, and {' or '.join(commands)} is not found: apt-get install gcc, or "
                "set CC"
            )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        version = "{}.{}".format(*sys.version_info)
        cure = (
            f"apt-get install python{version}-dev"
            if header.is_relative_to("/usr/include")
            else "install this Python again with its headers"
        )
        return f"the headers of Python, and {header} does not exist: {cure}"
    return None


def check_compile(cfg: Config, device: str | None = None) -> None:
    """Check that the machine can do what ``compile`` of a config asks for.

    Args:
        cfg: The config.
        device: Type of the device, by default the one that mmengine trains on.

    Raises:
        UserError: If a compiler or the headers of Python are missing; names the cure. Without
            this check torch ends in a hundred lines of traceback at the first step.
    """
    options = cfg.get("compile", False)
    # mmengine compiles for an empty dict too.
    backend = options.get("backend", "inductor") if isinstance(options, dict) else "inductor"
    if options in (None, False) or backend != "inductor":
        return
    missing = _missing(device or get_device())
    if missing:
        raise UserError(f"compile={options} of the config needs {missing}, {_WITHOUT}")
