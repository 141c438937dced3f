"""The library that ``setup.py`` compiles is the one of these sources, or is not used."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gcp_mm.ops.cpu_kernels import cpu_kernel_status
from gcp_mm.ops.cpu_kernels import kernels as available
from gcp_mm.ops.cpu_kernels import kernels as library
from gcp_mm.ops.cpu_kernels.digest import MARK, is_whole, seal, source_digest


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv(available.SWITCH, raising=False)


@pytest.mark.skipif(sys.platform != "linux", reason="compiled with GCC on Linux")
def test_installation_has_it():
    reason = cpu_kernel_status(torch.ones(1))
    if reason is not None and "lacks AVX2" in reason:
        pytest.skip(reason)
    assert reason is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_it_takes(monkeypatch, dtype):
    monkeypatch.setattr(available, "load_library", object)
    assert cpu_kernel_status(torch.ones(1, dtype=dtype)) is None


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (torch.ones(1).double(), "they compute in torch.float32, and the tensor is torch.float64"),
        (torch.ones(1, device="meta"), "they run on the CPU, and the tensor is on meta"),
    ],
)
def test_tensors_it_does_not_take(x, reason):
    assert cpu_kernel_status(x) == reason


def test_switch(monkeypatch):
    monkeypatch.setenv(available.SWITCH, "0")
    assert cpu_kernel_status(torch.ones(1)) == "switched off by GCP_MM_CPU_KERNELS=0"


def test_reason_without_a_library(monkeypatch):
    monkeypatch.setattr(available, "load_library", lambda: "no such thing")
    assert cpu_kernel_status(torch.ones(1)) == "no such thing"


def test_missing_library(tmp_path):
    with pytest.raises(OSError, match="they were not compiled"):
        library.open_library(tmp_path / "none.so", "")


def test_library_of_other_sources_is_refused():
    path, digest = library.library_path(), source_digest(library.SOURCES)
    library.open_library(path, digest)
    library.open_library(path, "")
    with pytest.raises(OSError, match="were compiled from other sources"):
        library.open_library(path, digest[::-1])


def test_other_library_is_a_reason_and_no_crash(tmp_path, monkeypatch):
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    (tmp_path / "other.c").write_text("int something_else;")
    path = tmp_path / "other.so"
    subprocess.run([compiler, "-shared", tmp_path / "other.c", "-o", path], check=True)
    seal(path)
    monkeypatch.setattr(library, "library_path", lambda: path)
    assert "gcp_mm_source_digest" in library.load_library.__wrapped__()


def test_file_that_is_no_library_is_a_reason_and_no_crash(tmp_path, monkeypatch):
    path = tmp_path / "text.so"
    path.write_text("no library")
    monkeypatch.setattr(library, "library_path", lambda: path)
    reason = library.load_library.__wrapped__()
    assert str(path) in reason and "run `make install` in a checkout" in reason


@pytest.fixture
def copied(tmp_path):
    """A sealed copy of the library; loading a damaged one would end the process."""
    if isinstance(library.load_library(), str):
        pytest.skip("the C kernels cannot be used here")
    path = Path(shutil.copy(library.library_path(), tmp_path))
    seal(path)
    return path


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES = {
    "cut to 4 kB": lambda content: content[:4096],
    "cut to a header": lambda content: content[:40],
    "cut before the seal": lambda content: content[: content.index(b"\ngcp_mm ") - 1],
    "zeros in place of the second half": lambda content: (
        content[: len(content) // 2] + bytes(len(content) // 2)
    ),
    "a flipped bit of the code": lambda content: flip(content, 12288),
    "a page of zeros": lambda content: content[:8192] + bytes(4096) + content[12288:],
}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems check their libraries")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_library_is_not_loaded(copied, monkeypatch, damage):
    path = copied
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setattr(library, "library_path", lambda: path)
    monkeypatch.setattr(library.ctypes, "CDLL", lambda path: pytest.fail("it was loaded"))
    reason = library.load_library.__wrapped__()
    assert reason.startswith(f"{path} is damaged: it was cut, or its code is not")
    assert "make install" in reason


def rewrite(path, *command):
    tool = shutil.which(command[0]) or pytest.skip(f"no {command[0]}")
    subprocess.run([tool, *command[1:], path], check=True)


REWRITES = {
    "stripped": lambda path: rewrite(path, "strip"),
    "without a section": lambda path: rewrite(path, "objcopy", "--remove-section=.comment"),
    "another name": lambda path: rewrite(path, "patchelf", "--set-soname", "other.so"),
    "another search path": lambda path: rewrite(path, "patchelf", "--set-rpath", "/opt/lib"),
    "seal lost": lambda path: path.write_bytes(path.read_bytes()[: -len(MARK) - 64]),
    # As patchelf and LIEF leave it: headers changed, more in the file, the seal still at its end.
    "rewritten in place": lambda path: path.write_bytes(flip(path.read_bytes(), 48)),
    "more at the end": lambda path: path.write_bytes(path.read_bytes() + bytes(9)),
    "without a table of sections": lambda path: path.write_bytes(
        path.read_bytes()[:40] + bytes(8) + path.read_bytes()[48:]
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="tools for ELF files")
@pytest.mark.parametrize("change", REWRITES.values(), ids=REWRITES)
def test_library_that_a_packager_rewrote_is_used(copied, change):
    path, before = copied, copied.read_bytes()
    change(path)
    assert path.read_bytes() != before and is_whole(path)
    opened = library.open_library(path, source_digest(library.SOURCES))
    assert opened.gcp_mm_supported()


def test_library_is_sealed_once(copied):
    path = copied
    sealed = path.read_bytes()
    assert sealed.count(MARK) == 1
    seal(path)
    assert path.read_bytes() == sealed


@pytest.mark.parametrize("start", [b"\xcf\xfa\xed\xfe", b"MZ", b"\x7fELF\1", b""])
def test_files_of_other_systems_are_left_to_their_loaders(tmp_path, start):
    path = tmp_path / "a.so"
    path.write_bytes(start + bytes(100))
    seal(path)
    assert path.read_bytes() == start + bytes(100) and is_whole(path)


def test_cpu_without_the_instructions(monkeypatch):
    symbols = SimpleNamespace(gcp_mm_source_digest=lambda: b"", gcp_mm_supported=lambda: 0)
    monkeypatch.setattr(library.ctypes, "CDLL", lambda path: symbols)
    with pytest.raises(OSError, match="lacks AVX2 or FMA"):
        library.open_library(library.SOURCES / "sample.h", "")


def test_digest_follows_names_and_contents(tmp_path):
    assert source_digest(tmp_path) == ""
    (tmp_path / "a.c").write_text("1")
    (tmp_path / "b.h").write_text("2")
    first = source_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not a source")
    assert source_digest(tmp_path) == first
    (tmp_path / "b.h").write_text("3")
    second = source_digest(tmp_path)
    (tmp_path / "b.h").rename(tmp_path / "c.h")
    assert len({first, second, source_digest(tmp_path)}) == 3
