"""Which format a file name asks for."""

import importlib.util

import pytest

from gcp_mm.errors import UserError
from gcp_mm.export import formats
from gcp_mm.export.formats import FORMATS, format_of


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("a.onnx", None, "onnx"),
        ("a/B.ONNX", None, "onnx"),
        ("a.pt2", None, "torch-export"),
        ("a.pt", None, "torchscript"),
        ("a.torchscript", None, "torchscript"),
        ("a.pt", "torchscript", "torchscript"),
        ("a.bin", "onnx", "onnx"),
    ],
)
def test_format_of_a_name(path, name, expected):
    assert format_of(path, name) is FORMATS[expected]


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("a.pth", None, r"'a.pth' says no format: use \.onnx \(ONNX\).*--format"),
        ("a", None, "'a' says no format"),
        ("a.onnx", "torchscript", r"--format torchscript .*'a.onnx'.* means onnx; call it \*\.pt"),
        ("a.onnx", "tflite", "unknown format 'tflite'"),
    ],
)
def test_no_format(path, name, message):
    with pytest.raises(UserError, match=message):
        format_of(path, name)


def test_missing_packages_are_named(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(formats, "find_spec", lambda p: None if "script" in p else there(p))
    FORMATS["torch-export"].check_packages()
    with pytest.raises(UserError, match=r"ONNX needs .*onnxscript.*gcp_mm\[export\]"):
        FORMATS["onnx"].check_packages()
