"""The export tool."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from tiny_runs import ONE_STAGE, only_error, write_config

from gcp_mm.engine.config import load_config
from gcp_mm.export import FORMATS

TOOL = "tools/export.py"
OPTIONS = (
    *("--format", "--input-size", "--batch-size", "--scores", "--include-preprocessing"),
    *("--image", "--tolerance", "--force", "--cfg-options"),
)
# Runs the exported files where this project and OpenMMLab do not exist.
ELSEWHERE = """
import sys
for name in ("gcp_mm", "mmengine", "mmpretrain"):
    sys.modules[name] = None
import numpy, torch
images = torch.from_numpy(numpy.load("images.npy"))
numpy.save("pt2.npy", torch.export.load("a.pt2").module()(images).numpy())
numpy.save("pt.npy", torch.jit.load("a.pt")(images).numpy())
"""


@pytest.fixture(scope="module")
def config(classifier, tmp_path_factory):
    return write_config(
        tmp_path_factory.mktemp("config") / "tiny.py", ONE_STAGE, classifier=classifier
    )


@pytest.fixture(scope="module")
def checkpoint(config, tmp_path_factory):
    cfg = load_config(str(config))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        network = MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})
    network.init_weights()
    path = tmp_path_factory.mktemp("weights") / "a.pth"
    torch.save({"state_dict": network.state_dict()}, path)
    return network.eval(), path


@pytest.fixture
def export(call_tool, config, checkpoint):
    def call(target, *options, size=32):
        sizes = () if size is None else ("--input-size", size)
        return call_tool(TOOL, config, checkpoint[1], target, *sizes, *options)

    return call


def test_help_lists_the_options(call_tool):
    _, output, _ = call_tool(TOOL, "--help")
    assert [option for option in OPTIONS if option not in output] == []


@pytest.mark.slow
def test_onnx_file(export, checkpoint, class_folders, tmp_path):
    onnx, runtime = (pytest.importorskip(name) for name in ("onnx", "onnxruntime"))
    pytest.importorskip("onnxscript")
    target, photo = tmp_path / "a.onnx", next((class_folders / "val").rglob("*.png"))
    code, output, errors = export(target, "--image", photo, "--scores", "--include-preprocessing")
    assert code == 0, errors
    assert f"results: {target} (ONNX, " in output
    assert "worst difference of 4 batches: " in output
    model = onnx.load(target)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert {entry.key: entry.value for entry in model.metadata_props}["input"] == (
        "images, float32 (batch, 3, 32, 32), RGB, pixels of 0 to 255"
    )
    session = runtime.InferenceSession(target)
    assert [value.name for value in session.get_outputs()] == ["scores"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32)).astype("float32")
    (found,) = session.run(None, {"images": pixels})
    network = checkpoint[0]
    images = network.data_preprocessor({"inputs": torch.from_numpy(pixels).flip(1)})["inputs"]
    with torch.no_grad():
        expected = network(images).softmax(1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert list(tmp_path.iterdir()) == [target]


def test_files_run_without_this_project(export, checkpoint, run_warm, tmp_path):
    for name, form in (("a.pt2", "torch.export"), ("a.pt", "TorchScript")):
        code, output, errors = export(tmp_path / name)
        assert code == 0, errors
        assert f"({form}, " in output
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    process = run_warm("-c", ELSEWHERE, cwd=tmp_path, PYTHONPATH="")
    assert process.returncode == 0, process.stderr
    with torch.no_grad():
        expected = checkpoint[0](torch.from_numpy(images)).numpy()
    for name in ("pt2.npy", "pt.npy"):
        np.testing.assert_allclose(np.load(tmp_path / name), expected, rtol=1e-5, atol=1e-6)
    texts = {"mean": ""}
    torch.jit.load(tmp_path / "a.pt", _extra_files=texts)
    assert json.loads(texts["mean"]) == [123.675, 116.28, 103.53]


REFUSED = {
    "no size": ((), dict(size=None), "--input-size HEIGHT WIDTH"),
    "size of nothing": ((), dict(size=0), "--input-size 0 0: at least 1 pixel"),
    "batch": (("--batch-size", 0), {}, "--batch-size 0: at least 1 image"),
    "format": (("--format", "onnx"), {}, "--format onnx does not go with the name"),
    "image": (("--image", "absent.png"), {}, "'absent.png' cannot be read"),
    "too strict": (("--tolerance", -1), {}, "is larger than -1e+00"),
    "detector": (("--cfg-options", "default_scope=mmdet"), {}, "only classifiers"),
    "other head": (
        ("--cfg-options", "model.head.num_classes=4"),
        {},
        "head.fc.weight ((4, 136), (3, 136))",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_is_one_error_and_keeps_nothing(export, tmp_path, case):
    options, settings, message = REFUSED[case]
    error = only_error(*export(tmp_path / "a.pt", *options, **settings))
    assert message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_existing_file_is_kept_unless_forced(export, tmp_path):
    target = tmp_path / "a.pt"
    target.write_text("mine")
    assert "--force replaces it" in only_error(*export(target))
    assert target.read_text() == "mine"
    assert only_error(*export(target, "--force", "--tolerance", -1))
    assert target.read_text() == "mine"
    assert export(target, "--force")[0] == 0
    assert torch.jit.load(target)(torch.ones(1, 3, 32, 32)).shape == (1, 3)


@pytest.fixture
def write_otherwise(monkeypatch):
    """Write a trace of a function of the network and the example instead of the network."""

    def replace(function):
        def write(network, example, path, *rest):
            class Other(torch.nn.Module):
                def forward(self, images):
                    return function(network(images), images, example)

            form.write(Other(), example, path, *rest)

        form = FORMATS["torchscript"]
        monkeypatch.setitem(FORMATS, "torchscript", dataclasses.replace(form, write=write))

    return replace


@pytest.mark.parametrize("factor", [1 + 3e-5, math.nan])
def test_wrong_file_is_refused(export, tmp_path, write_otherwise, factor):
    write_otherwise(lambda logits, images, example: logits * factor)
    error = only_error(*export(tmp_path / "a.pt"))
    assert "does not compute what the network does" in error
    assert "larger than 1e-05" in error
    assert "The file was not kept" in error
    assert list(tmp_path.iterdir()) == []


def test_file_within_the_tolerance_is_kept(export, tmp_path, write_otherwise):
    write_otherwise(lambda logits, images, example: logits * (1 + 3e-5))
    assert export(tmp_path / "a.pt", "--tolerance", 1e-4)[0] == 0
    assert (tmp_path / "a.pt").is_file()


def test_batch_that_the_network_fixes_is_named(export, tmp_path, write_otherwise):
    # The view holds for the batch of the example, and fails for another.
    write_otherwise(lambda logits, images, example: logits.reshape(len(example), 3))
    error = only_error(*export(tmp_path / "a.pt"))
    assert "only batches other than 2 differ, so the network fixes its batch size" in error
    assert "is invalid for input of size" in error
    assert export(tmp_path / "a.pt", "--batch-size", 2)[0] == 0
