"""Files that people take for a checkpoint.

Damage inside the archives of ``torch.save``.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch

from gcp_mm.checkpoints.file_kind import check_archive
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
    "HTML": (lambda _: b"<!DOCTYPE html><title>Google Drive", "is a web page.*Google Drive"),
    "page": (lambda _: b"\r\n <HTML><head>" + bytes(1000), "is a web page.*Google Drive"),
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


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "epoch_3.pth"
    torch.save({"state_dict": {"w": torch.arange(1000.0), "b": torch.ones(7)}}, path)
    return path


def content_of(path, name):
    """Return where the content of a record begins, and its size."""
    with zipfile.ZipFile(path) as archive:
        record = next(r for r in archive.infolist() if r.filename.endswith(name))
    data = path.read_bytes()
    names = data[record.header_offset + 26 : record.header_offset + 30]
    lengths = int.from_bytes(names[:2], "little") + int.from_bytes(names[2:], "little")
    return record.header_offset + 30 + lengths, record.file_size


@pytest.mark.parametrize("record", ["data/0", "data/1", "data.pkl", "byteorder"])
def test_flipped_bit_is_found(checkpoint, record):
    begin, size = content_of(checkpoint, record)
    data = bytearray(checkpoint.read_bytes())
    data[begin + size // 2] ^= 4
    checkpoint.write_bytes(data)
    with pytest.raises(UserError, match=f"epoch_3.pth.* is damaged: .*{record} .*CRC-32") as caught:
        load_from_file(checkpoint)
    assert len(str(caught.value).splitlines()) == 1


def test_damage_has_its_reason(checkpoint):
    """Another name in the record's own header than in the list is no wrong checksum."""
    data = checkpoint.read_bytes()
    begin = data.index(b"data/1")  # The header of the record stands before the list.
    checkpoint.write_bytes(data[:begin] + b"data/7" + data[begin + 6 :])
    with pytest.raises(
        UserError, match=r"is damaged: .*data/1 .*\(File name in directory .*data/7"
    ):
        check_archive(checkpoint)


def test_damage_below_a_name_that_is_there_twice(checkpoint, tmp_path):
    twice = tmp_path / "twice.pth"
    with zipfile.ZipFile(checkpoint) as source, zipfile.ZipFile(twice, "w") as target:
        for record in [*source.infolist(), *source.infolist()]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "Duplicate name"
                target.writestr(record.filename, source.read(record))
    check_archive(twice)
    begin, _ = content_of(twice, "data/0")  # That of the first.
    data = bytearray(twice.read_bytes())
    data[begin] ^= 4
    twice.write_bytes(data)
    with pytest.raises(UserError, match=r"twice.pth.* is damaged: .*data/0 .*\(Bad CRC-32"):
        check_archive(twice)


def test_torch_itself_does_not_find_it(checkpoint):
    begin, _ = content_of(checkpoint, "data/0")
    data = bytearray(checkpoint.read_bytes())
    data[begin + 4 * 10 + 3] ^= 64
    checkpoint.write_bytes(data)
    assert torch.load(checkpoint)["state_dict"]["w"][10] != 10


def test_archive_without_checksums_loads(tmp_path):
    path, before = tmp_path / "x.pth", torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.arange(9.0)}, path)
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(load_from_file(path)["w"], torch.arange(9.0))


def test_archive_that_was_packed_again(checkpoint, tmp_path):
    packed = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(checkpoint) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(UserError, match=r"packed.pth.*packed again: .*data.pkl.* compressed"):
        load_from_file(packed)


def test_program_of_torchscript_is_named(tmp_path):
    path = tmp_path / "net.pth"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(path)
    with pytest.raises(UserError, match=r"net.pth.* is a TorchScript program.*state_dict"):
        load_from_file(path)


def test_names_and_shapes_alone_cost_no_reading(checkpoint):
    begin, _ = content_of(checkpoint, "data/0")
    data = bytearray(checkpoint.read_bytes())
    data[begin] ^= 4
    checkpoint.write_bytes(data)
    assert load_from_file(checkpoint, "meta")["state_dict"]["w"].shape == (1000,)


def test_archive_of_other_files(checkpoint, tmp_path):
    packed = tmp_path / "download.pth"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(checkpoint, "folder/epoch_3.pth")
    with pytest.raises(UserError, match=r"zip archive of other files \(folder/epoch_3.pth\)"):
        load_from_file(packed)


def test_archive_that_was_unpacked(checkpoint, tmp_path):
    with zipfile.ZipFile(checkpoint) as archive:
        archive.extractall(tmp_path)
    with pytest.raises(UserError, match="epoch_3' .* was unpacked into a folder"):
        load_from_file(tmp_path / "epoch_3")
