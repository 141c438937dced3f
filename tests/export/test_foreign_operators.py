"""Operators that other programs lack are found in every format."""

import pytest
import torch
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.export.formats import FORMATS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


@torch.library.custom_op("gcp_mm_export_tests::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


@double.register_fake
def _(x):
    return torch.empty_like(x)


class Doubler(nn.Module):
    def forward(self, images):
        return double(images) + 1


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("torch-export", "gcp_mm_export_tests.double.default"),
        ("torchscript", "gcp_mm_export_tests::double"),
    ],
)
def test_custom_operator_of_torch(tmp_path, images, form, name):
    path = tmp_path / f"file{FORMATS[form].suffixes[0]}"
    FORMATS[form].write(Doubler(), images(2), path, True, {})
    assert FORMATS[form].foreign_operators(path) == [name]


def test_custom_operator_has_no_translation_to_onnx(tmp_path, images):
    with pytest.raises(UserError, match="Doubler cannot be exported to ONNX"):
        FORMATS["onnx"].write(Doubler(), images(2), tmp_path / "file.onnx", True, {})


@pytest.mark.parametrize("place", ["graph", "branch", "function"])
def test_operator_of_another_domain(tmp_path, place):
    make = onnx.helper
    value = make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    foreign = make.make_node("Other", ["x"], ["y"], domain="vendor")
    functions, nodes = [], [foreign]
    if place == "branch":
        branch = make.make_graph([foreign], "branch", [], [value])
        other = make.make_graph([make.make_node("Neg", ["x"], ["y"])], "other", [], [value])
        nodes = [make.make_node("If", ["c"], ["y"], then_branch=other, else_branch=branch)]
    if place == "function":
        opset = [make.make_opsetid("", 20)]
        body = [make.make_node("Neg", ["x"], ["y"])]
        functions = [make.make_function("vendor", "Other", ["x"], ["y"], body, opset)]
        nodes = [make.make_node("Neg", ["x"], ["y"])]
    graph = make.make_graph(nodes, "graph", [], [value])
    path = tmp_path / "file.onnx"
    onnx.save(make.make_model(graph, functions=functions), path)
    assert FORMATS["onnx"].foreign_operators(path) == ["vendor::Other"]
