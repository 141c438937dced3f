"""A TorchScript trace, for C++ and mobile programs that load nothing newer.

torch calls it deprecated in favour of torch.export.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcp_mm.export.exporter_errors import explain_errors

NAME = "TorchScript"


def write(
    network: nn.Module,
    images: Tensor,
    path: Path,
    dynamic_batch: bool,
    properties: Mapping[str, str],
) -> None:
    """Trace the network and write it, with the properties as ``_extra_files``.

    ``dynamic_batch`` has no effect: a trace leaves every batch size open that the network's code
    does not turn into a Python number.
    """
    with explain_errors(network, NAME), warnings.catch_warnings():
        # That it is deprecated, and each comparison of shapes; the numeric check judges the result.
        warnings.simplefilter("ignore")
        trace = torch.jit.trace(network, images, check_trace=False)
        # To memory first: where torch writes a file and the disk is full, it aborts the process.
        content = io.BytesIO()
        torch.jit.save(trace, content, _extra_files=dict(properties))
    path.write_bytes(content.getbuffer())


def read(path: Path) -> torch.jit.ScriptModule:
    """Load the trace from its file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(path, map_location="cpu")


def foreign_operators(path: Path) -> list[str]:
    """List the operators that torch itself does not have, so that other programs lack them."""
    kinds = {node.kind() for node in _nodes(read(path).inlined_graph)}
    return sorted(kind for kind in kinds if kind.split("::")[0] not in ("aten", "prim"))


def _nodes(block: Any) -> Iterator[Any]:
    """Yield the nodes of a graph or block and of the blocks inside of them."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
