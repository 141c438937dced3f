"""What a run asks of torch's backends: a device, equal numbers every time, and a compiler."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device

from gcp_mm.errors import UserError, first_line


@contextmanager
def reproducible_kernels(tf32: bool = False) -> Iterator[None]:
    """Take deterministic convolutions, chosen without timing them, and one precision for all.

    Afterwards each switch has the value that it had. (A precision that was inherited from a more
    general one is then set by itself: PyTorch does not tell the two apart.) Through the newer
    ``fp32_precision``, because the older ``allow_tf32`` and ``torch.backends.cudnn.flags`` raise in
    a program that has used it; inside, they may. With ``tf32``, products, convolutions and
    recurrent layers of float32 use TensorFloat-32.
    """
    cudnn = torch.backends.cudnn
    operators = (torch.backends.cuda.matmul, *(getattr(cudnn, name) for name in ("conv", "rnn")))
    wanted = [
        # Another algorithm in another process would round differently.
        (cudnn, "benchmark", False),
        (cudnn, "deterministic", True),
        *((operator, "fp32_precision", "tf32" if tf32 else "ieee") for operator in operators),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    try:
        for owner, name, value in wanted:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def find_device(name: str) -> torch.device:
    """Return the device that ``--device`` names, which has to be there."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an unknown one, or one that is absent
        raise UserError(f"--device {name}: {first_line(error)}") from error


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
    """Check that the machine can do what ``compile`` of a config asks for."""
    options = cfg.get("compile", False)
    # mmengine compiles for an empty dict too.
    backend = options.get("backend", "inductor") if isinstance(options, dict) else "inductor"
    if options in (None, False) or backend != "inductor":
        return
    missing = _missing(device or get_device())
    if missing:
        raise UserError(f"compile={options} of the config needs {missing}, {_WITHOUT}")
