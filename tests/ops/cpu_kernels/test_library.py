"""The library that ``setup.py`` compiles is the one of these sources, or is not used."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gcp_mm.ops.cpu_kernels import available, cpu_kernel_status, library
from gcp_mm.ops.cpu_kernels.digest import is_whole, seal, source_digest


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
    """A copy of the library; loading a damaged one would end the process."""
    if isinstance(library.load_library(), str):
        pytest.skip("the C kernels cannot be used here")
    return shutil.copy(library.library_path(), tmp_path)


DAMAGES = {
    "cut to 4 kB": lambda content: content[:4096],
    "last byte lost": lambda content: content[:-1],
    "seal lost": lambda content: content[:-79],
    "a flipped bit": lambda content: (
        content[:50000] + bytes([content[50000] ^ 1]) + content[50001:]
    ),
    "a page of zeros": lambda content: content[:8192] + bytes(4096) + content[12288:],
    "more at the end": lambda content: content + b"\0",
}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems check their libraries")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_library_is_not_loaded(copied, monkeypatch, damage):
    path = Path(copied)
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setattr(library, "library_path", lambda: path)
    monkeypatch.setattr(library.ctypes, "CDLL", lambda path: pytest.fail("it was loaded"))
    reason = library.load_library.__wrapped__()
    assert reason.startswith(f"{path} is damaged: its digest") and "make install" in reason


def test_library_is_sealed_once(tmp_path):
    path = tmp_path / "a.so"
    path.write_bytes(b"\x7fELF and so on")
    assert not is_whole(path)
    seal(path)
    sealed = path.read_bytes()
    assert sealed.startswith(b"\x7fELF and so on") and is_whole(path)
    seal(path)
    assert path.read_bytes() == sealed


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
