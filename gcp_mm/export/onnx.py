"""ONNX, in plain operators of the default domain.

The exporter is ``torch.onnx.export(dynamo=True)``, which translates the graph of torch.export. The
older one (``dynamo=False``) is deprecated since torch 2.9, does not know ``Tensor.mT``, and bakes
a batch size that Python code has computed with into the file without a word.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcp_mm.export.exporter_errors import explain_errors
from gcp_mm.export.torch_export import capture

NAME = "ONNX"
# What torch 2.13 chooses as well. Named, so that another torch does not change the files.
OPSET = 20


def write(
    network: nn.Module,
    images: Tensor,
    path: Path,
    dynamic_batch: bool,
    properties: Mapping[str, str],
) -> None:
    """Write one .onnx file that holds the weights, and check it with ``onnx.checker``.

    Its input is called ``images`` and an open first axis ``batch``; its output ``logits``, or
    ``scores`` if ``network.scores``. The properties are its ``metadata_props``.
    """
    from onnx import checker

    program = capture(network, images, dynamic_batch)
    # Without it the open axis has a name that torch counts up, such as s77.
    axes = ({0: "batch"},) if dynamic_batch else None
    with explain_errors(network, NAME), warnings.catch_warnings():
        # onnxscript uses a form of torch's that torch 2.13 is about to drop.
        warnings.simplefilter("ignore", FutureWarning)
        translated = torch.onnx.export(
            program,
            input_names=["images"],
            output_names=["scores" if getattr(network, "scores", False) else "logits"],
            dynamic_shapes=axes,
            opset_version=OPSET,
            verbose=False,
        )
        if translated is None:
            raise RuntimeError("torch.onnx.export gave no program")
        translated.model.metadata_props.update(properties)
        # One message with the weights: beside the file they could not be replaced together with it.
        content = translated.model_proto.SerializeToString()
        checker.check_model(content, full_check=True)
    path.write_bytes(content)


def read(path: Path) -> Callable[[Tensor], Tensor]:
    """Open the file in onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: images.numpy()})[0])

    return run


def foreign_operators(path: Path) -> list[str]:
    """List the operators and functions outside of ONNX's default domain."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    named = [(node.domain, node.op_type) for node in _nodes(model.graph)]
    named += [(function.domain, function.name) for function in model.functions]
    return sorted({f"{domain}::{name}" for domain, name in named if domain not in ("", "ai.onnx")})


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs inside of them (branches, loops)."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)
