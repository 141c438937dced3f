"""torch.export: the graph that .pt2 files hold and that the ONNX file is made from."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from gcp_mm.export.exporter_errors import explain_errors

NAME = "torch.export"


def capture(network: nn.Module, images: Tensor, dynamic_batch: bool) -> ExportedProgram:
    """Capture the network as a graph of plain operators, for images of this height and width.

    A dynamic batch needs an example (B, 3, H, W) with B >= 2: torch takes a size of 1 for a
    constant.
    """
    shapes = ({0: torch.export.Dim("batch")},) if dynamic_batch else None
    with explain_errors(network, NAME):
        return torch.export.export(network, (images,), dynamic_shapes=shapes)


def write(
    network: nn.Module,
    images: Tensor,
    path: Path,
    dynamic_batch: bool,
    properties: Mapping[str, str],
) -> None:
    """Write a .pt2 file, for ``torch.export.load`` or torch._inductor's ahead-of-time compiler."""
    program = capture(network, images, dynamic_batch)
    # To memory first: an error of the disk is then one of Python's.
    content = io.BytesIO()
    torch.export.save(program, content, extra_files=dict(properties))
    path.write_bytes(content.getbuffer())


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Load the exported function from its file."""
    return torch.export.load(path).module()


def foreign_operators(path: Path) -> list[str]:
    """List the operators that torch itself does not have, so that other programs lack them."""
    program = torch.export.load(path)
    graphs = [m for m in program.graph_module.modules() if isinstance(m, fx.GraphModule)]
    targets = {node.target for graph in graphs for node in graph.graph.nodes}
    operators = [t for t in targets if isinstance(t, torch._ops.OpOverload)]
    return sorted(str(t) for t in operators if t.namespace not in ("aten", "prim", "prims"))
