"""What is in the files of every format: texts, axes, and no operators that other programs lack."""

import json
import resource

import pytest
import torch
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.export.formats import FORMATS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

CLASSES = json.dumps(["cat", "Hündin, groß"])


@pytest.fixture
def write(images):
    def write(folder, form, dynamic_batch=True):
        path = folder / f"file{FORMATS[form].suffixes[0]}"
        network = nn.Conv2d(3, 2, 3)
        FORMATS[form].write(network, images(2), path, dynamic_batch, {"classes": CLASSES})
        return path

    return write


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def written(write, made, tmp_path):
    """Write a file, or give what another test has written."""

    def get(form, dynamic_batch=True):
        if (form, dynamic_batch) not in made:
            made[form, dynamic_batch] = write(tmp_path, form, dynamic_batch)
        return made[form, dynamic_batch]

    return get


@pytest.mark.parametrize("form", FORMATS)
def test_class_names_are_in_the_file(written, form):
    path, texts = written(form), {"classes": ""}
    if form == "onnx":
        texts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    elif form == "torch-export":
        torch.export.load(path, extra_files=texts)
    else:
        torch.jit.load(path, _extra_files=texts)
    assert json.loads(texts["classes"]) == ["cat", "Hündin, groß"]


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [True, False])
def test_open_axis_of_onnx_is_called_batch(written, dynamic):
    graph = onnx.load(written("onnx", dynamic)).graph
    for value in (*graph.input, *graph.output):
        first = value.type.tensor_type.shape.dim[0]
        assert (first.dim_param, first.dim_value) == (("batch", 0) if dynamic else ("", 2))


@pytest.mark.parametrize("form", FORMATS)
def test_full_disk_is_an_error_of_the_system(write, tmp_path, form):
    """Not an abort of the process, nor a fault of the network."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path, form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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


@pytest.mark.slow
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
