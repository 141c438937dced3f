"""Files that people take for a checkpoint."""

import bz2
import gzip
import io
import lzma
import tarfile

import numpy as np
import pytest
import torch

from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.errors import UserError


def tar(content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("epoch_1.pth")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def array(_):
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


KINDS = {
    "gzip": (gzip.compress, r"is packed with gzip: unpack it \(gunzip\)"),
    "bzip2": (bz2.compress, "is packed with bzip2"),
    "xz": (lzma.compress, "is packed with xz"),
    "zstd": (lambda content: b"\x28\xb5\x2f\xfd" + content, "is packed with zstd"),
    "tar": (tar, "is a tar archive"),
    "Keras": (lambda content: b"\x89HDF\r\n\x1a\n" + content, "is an HDF5 file"),
    "NumPy": (array, "is an array of NumPy"),
    "Git LFS": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64,
        "is a pointer of Git LFS, not the file: run `git lfs pull`",
    ),
}


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_told(tmp_path, kind, suffix):
    make, told = KINDS[kind]
    torch.save({"w": torch.ones(100)}, tmp_path / "x.pth")
    path = tmp_path / f"net{suffix}"
    path.write_bytes(make((tmp_path / "x.pth").read_bytes()))
    with pytest.raises(UserError, match=told) as caught:
        load_from_file(path)
    assert f"{str(path)!r} ({path.stat().st_size} bytes) is" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
