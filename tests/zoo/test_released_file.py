"""Files that cannot be the released ones."""

import hashlib

import pytest
import torch

from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError
from gcp_mm.zoo.released_file import check_released_file

pytest.importorskip("mmengine")


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "file.pth.tar"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("zip_format", [True, False])
def test_both_formats_of_torch_pass(small_row, file, zip_format):
    weights = {"w": torch.arange(2000.0)}
    torch.save(weights, file, _use_new_zipfile_serialization=zip_format)
    digest, size = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
    assert check_released_file(small_row(), file) == digest
    assert check_released_file(small_row(sha256=digest, size=size), file) == digest


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf\n  <html>", b"<html><head><title>Quota"]
)
def test_web_page(small_row, file, content, page):
    file.write_bytes(page + content)
    with pytest.raises(CheckpointMismatchError, match=f"{file} .*is a web page.*quota"):
        check_released_file(small_row(), file)


def test_something_else(small_row, file, content):
    file.write_bytes(b"GIF89a" + content)
    with pytest.raises(CheckpointMismatchError, match=f"{file} .*not a PyTorch checkpoint"):
        check_released_file(small_row(), file)


@pytest.mark.parametrize(
    ("parameters", "release", "reason"),
    [
        (1000, dict(size=10_243), "has 10244 bytes; that of resnet50_gcp_lrnorm has 10243"),
        (2562, {}, "10244 bytes; the 2562 parameters of resnet50_gcp_lrnorm alone take 10248"),
        (1000, dict(sha256="0" * 64), f"that of resnet50_gcp_lrnorm is {'0' * 64}"),
    ],
)
def test_size_and_digest(small_row, file, parameters, release, reason):
    with pytest.raises(CheckpointMismatchError, match=reason) as caught:
        check_released_file(small_row(parameters=parameters, **release), file)
    assert str(file) in str(caught.value)
    check_released_file(small_row(parameters=2561), file)


def test_absent(small_row, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="gone.pth"):
        check_released_file(small_row(), tmp_path / "gone.pth")
