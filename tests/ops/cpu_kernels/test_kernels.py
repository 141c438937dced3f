"""The C kernels against the published formulas in float64, at sizes that cut tiles and blocks.

The library that ``setup.py`` compiles is the one of these sources, or is not used.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gcp_mm.ops.cpu_kernels import cpu_backward, cpu_forward, cpu_kernel_status, kernels
from gcp_mm.ops.cpu_kernels.digest import MARK, is_whole, seal, source_digest
from gcp_mm.ops.plain import reference_global_covariance_pool

needs_library = pytest.mark.skipif(
    isinstance(kernels.load_library(), str), reason="the C kernels cannot be used here"
)
# Tiles have 6 x 16 elements, or 6 x 8; sums have up to 64 terms.
SIZES = [1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25, 48, 63, 64, 65, 130]


def both(x, grad, steps=5):
    return cpu_forward(x, steps), cpu_backward(grad, x, steps)


def exact(x, grad, steps=5):
    x = x.double().requires_grad_()
    value = reference_global_covariance_pool(x, steps)
    return value.detach(), torch.autograd.grad(value, x, grad.double())[0]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv(kernels.SWITCH, raising=False)


@pytest.fixture
def draw(normal):
    if isinstance(kernels.load_library(), str):
        pytest.skip("the C kernels cannot be used here")

    def features(batch, channels, positions):
        x = normal(batch, channels, positions, dtype=torch.float32).relu() + 0.1
        grad = normal(batch, channels * (channels + 1) // 2, seed=1, dtype=torch.float32)
        return x, grad

    return features


def assert_near(found, expected, value=1e-6, gradient=2e-6):
    for ours, theirs, bound in zip(found, expected, (value, gradient), strict=True):
        assert ours.shape == theirs.shape
        norm = theirs.norm()
        assert (ours.double() - theirs).norm() <= bound * norm + 1e-12


@pytest.mark.parametrize("channels", SIZES)
@pytest.mark.parametrize("positions", [1, 6, 16, 17, 49, 65])
def test_sizes(draw, channels, positions):
    x, grad = draw(2, channels, positions)
    assert_near(both(x, grad), exact(x, grad))


@pytest.mark.parametrize("positions", SIZES)
def test_fewer_positions_than_channels(draw, positions):
    x, grad = draw(1, 131, positions)
    assert_near(both(x, grad), exact(x, grad))


@pytest.mark.parametrize("shape", [(2, 256, 196), (1, 128, 196), (1, 300, 290), (1, 70, 1024)])
def test_sizes_of_networks(draw, shape):
    x, grad = draw(*shape)
    assert_near(both(x, grad), exact(x, grad))


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("shape", [(2, 20, 13), (2, 13, 20)])
def test_steps(draw, shape, steps):
    x, grad = draw(*shape)
    assert_near(both(x, grad, steps), exact(x, grad, steps))


LAYOUTS = {
    "channels last": lambda x: x.mT.contiguous().mT,
    "every second": lambda x: torch.stack([x, x], dim=-1)[..., 0],
    "expanded": lambda x: x[:1].expand_as(x),
    "positions expanded": lambda x: x[..., :1].expand_as(x),
    "slice": lambda x: torch.cat([x, x], dim=1)[:, 3 : 3 + x.shape[1]],
    "samples innermost": lambda x: x.permute(1, 2, 0).contiguous().permute(2, 0, 1),
    "gradient expanded": lambda x: x,
}


@pytest.mark.parametrize("view", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_changes_no_bit(draw, view):
    x, grad = draw(3, 20, 13)
    grad = grad[:1].expand_as(grad)
    x = view(x)
    found, expected = both(x, grad), both(x.contiguous(), grad.contiguous())
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert found[1].stride() == torch.empty_like(x).stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(draw, dtype):
    x, grad = (t.to(dtype) for t in draw(2, 20, 13))
    found, expected = both(x, grad), both(x.float(), grad.float())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype and torch.equal(ours, theirs.to(dtype))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_one_channel_far_from_the_others(draw, factor, sign, flipped):
    """All its deviations from its first position have one sign."""
    x, grad = draw(1, 12, 9)
    x[:, 0] = sign * factor * torch.arange(9)
    x = x.flip(1) if flipped else x
    value, gradient = both(x, grad)
    larger = max(factor, 1.0)
    scaled = exact(x.double() / larger, grad)
    assert_near((value.double() / larger, gradient), scaled)


@pytest.mark.parametrize("number", [1, 2, 3, 64])
def test_neither_threads_nor_neighbours_change_a_bit(draw, threads, number):
    x, grad = draw(7, 20, 13)
    threads(number)
    together = both(x, grad)
    for i in range(7):
        alone = both(x[i : i + 1], grad[i : i + 1])
        assert all(torch.equal(a[0], t[i]) for a, t in zip(alone, together, strict=True))


def test_threads_do_not_share_memory(draw, threads):
    """Enough work that they run at the same time."""
    x, grad = draw(32, 64, 49)
    threads(1)
    expected = both(x, grad)
    threads(2)
    for _ in range(5):
        assert all(torch.equal(*pair) for pair in zip(both(x, grad), expected, strict=True))


# In a process of its own, where nothing else has started threads or taken memory.
PROCESS = """
import os, resource, torch
from gcp_mm.ops.cpu_kernels import cpu_backward, cpu_forward

def memory(column):
    # 0: virtual, 1: resident
    with open("/proc/self/statm") as file:
        return int(file.read().split()[column]) * os.sysconf("SC_PAGE_SIZE")

torch.set_num_threads(3)
x, grad = torch.rand(6, 100, 90), torch.rand(6, 5050)
before = len(os.listdir("/proc/self/task"))
cpu_forward(x, 5)
print(len(os.listdir("/proc/self/task")) - before)
cpu_backward(grad, x, 5)
before = memory(1)
for _ in range(100):
    cpu_backward(grad, x, 5)
print(memory(1) - before < 1e8)
# Enough for the vector of 1.8 GB, but not for a matrix.
limit = memory(0) + 2500000000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    cpu_forward(torch.rand(1, 30000, 2), 5)
except MemoryError as error:
    print(error)
"""


@needs_library
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_memory_and_the_lack_of_it(run_tool):
    process = run_tool("-c", PROCESS, OMP_NUM_THREADS="3")
    assert process.returncode == 0, process.stderr
    started, level, message = process.stdout.splitlines()
    assert started == "2"
    assert level == "True"
    assert "shape (1, 30000, 2)" in message


@pytest.mark.parametrize(
    ("shape", "steps", "message"),
    [
        ((2, 3, 0), 5, r"one channel and one position, got \(2, 3, 0\)"),
        ((2, 0, 3), 5, r"got \(2, 0, 3\)"),
        ((3, 4), 5, r"x must have shape \(B, C, N\).*got \(3, 4\)"),
        ((2, 3, 4), 0, "num_iters must be at least 1 and fit into 32 bits, got 0"),
        ((2, 3, 4), 2**32 + 1, "got 4294967297"),
    ],
)
def test_what_does_not_fit_is_refused(shape, steps, message):
    x, grad = torch.zeros(shape), torch.zeros(shape[0], 6)
    with pytest.raises(ValueError, match=message):
        cpu_forward(x, steps)
    with pytest.raises(ValueError, match=message):
        cpu_backward(grad, x, steps)


@pytest.mark.parametrize("shape", [(2, 5), (1, 6), (12,)])
def test_gradient_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"must have shape \(2, 6\) and be on cpu, got"):
        cpu_backward(torch.zeros(shape), torch.zeros(2, 3, 4), 5)
    with pytest.raises(ValueError, match="be on cpu, got .* on meta"):
        cpu_backward(torch.zeros(2, 6, device="meta"), torch.zeros(2, 3, 4), 5)


def test_empty_batch(draw):
    x, grad = draw(0, 4, 3)
    value, gradient = both(x, grad)
    assert value.shape == (0, 10) and gradient.shape == (0, 4, 3)


@pytest.mark.parametrize("shape", [(3, 17, 11), (3, 11, 17)])
def test_nothing_beside_the_results_is_written(draw, shape):
    x, grad = draw(*shape)
    library = kernels.load_library()
    problem = kernels._problem(x, 5)
    layout = kernels.Layout(*x.stride())
    expected = both(x, grad)
    for result, call in (
        (expected[0], lambda to: library.gcp_mm_forward(problem, x.data_ptr(), layout, to)),
        (
            expected[1],
            lambda to: library.gcp_mm_backward(
                problem, grad.data_ptr(), x.data_ptr(), layout, to, layout
            ),
        ),
    ):
        room = torch.full((result.numel() + 256,), 7.0)
        inside = room[128:-128]
        assert call(inside.data_ptr()) == 0
        assert torch.equal(inside.view_as(result), result)
        assert (room[:128] == 7).all() and (room[-128:] == 7).all()


def test_no_memory_is_told(draw, monkeypatch):
    class Full:
        gcp_mm_forward = gcp_mm_backward = staticmethod(lambda *arguments: 1)

    monkeypatch.setattr(kernels, "load_library", Full)
    x, grad = draw(2, 5, 3)
    with pytest.raises(MemoryError, match=r"features of shape \(2, 5, 3\): run with fewer threads"):
        cpu_forward(x, 5)
    with pytest.raises(MemoryError, match="covariance layer"):
        cpu_backward(grad, x, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="compiled with GCC on Linux")
def test_installation_has_it():
    reason = cpu_kernel_status(torch.ones(1))
    if reason is not None and "lacks AVX2" in reason:
        pytest.skip(reason)
    assert reason is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_it_takes(monkeypatch, dtype):
    monkeypatch.setattr(kernels, "load_library", object)
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
    monkeypatch.setenv(kernels.SWITCH, "0")
    assert cpu_kernel_status(torch.ones(1)) == "switched off by GCP_MM_CPU_KERNELS=0"


def test_reason_without_a_library(monkeypatch):
    monkeypatch.setattr(kernels, "load_library", lambda: "no such thing")
    assert cpu_kernel_status(torch.ones(1)) == "no such thing"


def test_missing_library(tmp_path):
    with pytest.raises(OSError, match="they were not compiled"):
        kernels.open_library(tmp_path / "none.so", "")


@needs_library
def test_library_of_other_sources_is_refused():
    path, digest = kernels.library_path(), source_digest(kernels.SOURCES)
    kernels.open_library(path, digest)
    kernels.open_library(path, "")
    with pytest.raises(OSError, match="were compiled from other sources"):
        kernels.open_library(path, digest[::-1])


def test_other_library_is_a_reason_and_no_crash(tmp_path, monkeypatch):
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    (tmp_path / "other.c").write_text("int something_else;")
    path = tmp_path / "other.so"
    subprocess.run([compiler, "-shared", tmp_path / "other.c", "-o", path], check=True)
    seal(path)
    monkeypatch.setattr(kernels, "library_path", lambda: path)
    assert "gcp_mm_source_digest" in kernels.load_library.__wrapped__()


def test_file_that_is_no_library_is_a_reason_and_no_crash(tmp_path, monkeypatch):
    path = tmp_path / "text.so"
    path.write_text("no library")
    monkeypatch.setattr(kernels, "library_path", lambda: path)
    reason = kernels.load_library.__wrapped__()
    assert str(path) in reason and "run `make install` in a checkout" in reason


@pytest.fixture
def copied(tmp_path):
    """A sealed copy of the library; loading a damaged one would end the process."""
    if isinstance(kernels.load_library(), str):
        pytest.skip("the C kernels cannot be used here")
    path = Path(shutil.copy(kernels.library_path(), tmp_path))
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
    monkeypatch.setattr(kernels, "library_path", lambda: path)
    monkeypatch.setattr(kernels.ctypes, "CDLL", lambda path: pytest.fail("it was loaded"))
    reason = kernels.load_library.__wrapped__()
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


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="tools for ELF files")
@pytest.mark.parametrize("change", REWRITES.values(), ids=REWRITES)
def test_library_that_a_packager_rewrote_is_used(copied, change):
    path, before = copied, copied.read_bytes()
    change(path)
    assert path.read_bytes() != before and is_whole(path)
    opened = kernels.open_library(path, source_digest(kernels.SOURCES))
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
    monkeypatch.setattr(kernels.ctypes, "CDLL", lambda path: symbols)
    with pytest.raises(OSError, match="lacks AVX2 or FMA"):
        kernels.open_library(kernels.SOURCES / "sample.h", "")


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
