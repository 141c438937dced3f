"""The formats, and which one a file name asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.export import onnx, torch_export, torchscript


@dataclass(frozen=True)
class Format:
    """How a file of one kind is written and read.

    The first of the ``suffixes`` is the usual one; ``packages`` are optional ones that it needs.
    ``write`` takes network, example images, path, dynamic batch and properties, ``read`` loads the
    function of images, and ``foreign_operators`` lists those that only this package has.
    """

    name: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[nn.Module, Tensor, Path, bool, Mapping[str, str]], None]
    read: Callable[[Path], Callable[[Tensor], Tensor]]
    foreign_operators: Callable[[Path], list[str]]

    def check_packages(self) -> None:
        """Raise a UserError that names the packages of this format that are not installed."""
        missing = [name for name in self.packages if find_spec(name) is None]
        if missing:
            raise UserError(
                f"{self.name} needs {', '.join(missing)}, which is not installed: "
                f"pip install {' '.join(missing)} (the extra gcp_mm[export])"
            )


def _format(module: Any, suffixes: tuple[str, ...], packages: tuple[str, ...] = ()) -> Format:
    parts = (module.write, module.read, module.foreign_operators)
    return Format(module.NAME, suffixes, packages, *parts)


FORMATS = {
    "onnx": _format(onnx, (".onnx",), ("onnx", "onnxscript", "onnxruntime")),
    "torch-export": _format(torch_export, (".pt2",)),
    "torchscript": _format(torchscript, (".pt", ".torchscript")),
}


def format_of(path: str | Path, name: str | None = None) -> Format:
    """Find the format of a file.

    Args:
        path: The file, which need not exist.
        name: Key of :data:`FORMATS`, for a file name with any other end. torch.export writes
            .pt2 files only.

    Returns:
        The format.

    Raises:
        UserError: If neither says a format, or the two do not go together.
    """
    suffix = Path(path).suffix.lower()
    by_suffix = {end: key for key, form in FORMATS.items() for end in form.suffixes}
    if name is None:
        if suffix not in by_suffix:
            ends = ", ".join(f"{end} ({FORMATS[key].name})" for end, key in by_suffix.items())
            raise UserError(
                f"the end of {str(path)!r} says no format: use {ends}, or --format with one of "
                f"{', '.join(FORMATS)}"
            )
        name = by_suffix[suffix]
    if name not in FORMATS:
        raise UserError(f"unknown format {name!r}; choose one of {', '.join(FORMATS)}")
    if by_suffix.get(suffix, name) != name:
        raise UserError(
            f"--format {name} does not go with the name {str(path)!r}, whose end means "
            f"{by_suffix[suffix]}; call it *{FORMATS[name].suffixes[0]}"
        )
    return FORMATS[name]
