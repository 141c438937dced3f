import hashlib

import pytest
import torch
from tiny_runs import Hostile

from gcp_mm.conversion.convert_file import read_source
from gcp_mm.errors import CheckpointNotFoundError, UnsafeCheckpointError, UserError
from gcp_mm.files import sha256


@pytest.mark.parametrize("zip_format", [True, False])
def test_both_formats_of_torch(legacy, same, tmp_path, zip_format):
    path = tmp_path / "a.pth.tar"
    torch.save(legacy(), path, _use_new_zipfile_serialization=zip_format)
    assert same(read_source(path), legacy())


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Google Drive", b"\r\n <HTML><head>"])
def test_saved_web_page(tmp_path, page):
    path = tmp_path / "a.pth.tar"
    path.write_bytes(page + bytes(1000))
    with pytest.raises(UserError, match="a.pth.tar' is a web page.*Google Drive"):
        read_source(path)


def test_truncated_file(legacy, tmp_path):
    path = tmp_path / "a.pth.tar"
    torch.save(legacy(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"a.pth.tar' \(5000 bytes\) cannot be read"):
        read_source(path)


@pytest.mark.parametrize("zip_format", [True, False])
def test_hostile_file_is_refused_unexecuted(tmp_path, zip_format):
    content = {"state_dict": {"w": torch.ones(1)}, "optimizer": Hostile(tmp_path / "marker")}
    path = tmp_path / "a.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed"):
        read_source(path)
    assert not (tmp_path / "marker").exists()


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="a.pth.tar' does not exist"):
        read_source(tmp_path / "a.pth.tar")


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
