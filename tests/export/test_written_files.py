"""What every format says of itself, and that a full disk is an error of Python's."""

import json
import resource

import pytest
import torch
from torch import nn

from gcp_mm.export.formats import FORMATS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

CLASSES = json.dumps(["cat", "Hündin, groß"])


@pytest.fixture
def written(tmp_path, images):
    def write(form, dynamic_batch=True):
        path = tmp_path / f"file{FORMATS[form].suffixes[0]}"
        network = nn.Conv2d(3, 2, 3)
        FORMATS[form].write(network, images(2), path, dynamic_batch, {"classes": CLASSES})
        return path

    return write


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


@pytest.mark.parametrize("dynamic", [True, False])
def test_open_axis_of_onnx_is_called_batch(written, dynamic):
    graph = onnx.load(written("onnx", dynamic)).graph
    for value in (*graph.input, *graph.output):
        first = value.type.tensor_type.shape.dim[0]
        assert (first.dim_param, first.dim_value) == (("batch", 0) if dynamic else ("", 2))


@pytest.mark.parametrize("form", FORMATS)
def test_full_disk_is_an_error_of_the_system(written, form):
    """Not an abort of the process, nor a fault of the network."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            written(form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
