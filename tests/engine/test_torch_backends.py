"""What torch cannot use of the machine is named before a run; a wish for the CPU is obeyed."""

import ctypes
import json
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from gcp_mm.doctor import machine
from gcp_mm.engine import torch_backends
from gcp_mm.engine.torch_backends import (
    asks_for_cpu,
    check_compile,
    check_gpu_driver,
    count_gpus,
    driver_cuda_version,
    find_device,
)
from gcp_mm.errors import UserError

TOO_OLD = "The NVIDIA driver on your system is too old (found version 12020)."


@pytest.fixture
def driver(tmp_path):
    """Return files of which one shows a driver."""
    (tmp_path / "nvidiactl").touch()
    return tmp_path / "dxg", tmp_path / "nvidiactl"


@pytest.fixture
def pretend(monkeypatch):
    """Pretend a torch that sees a number of GPUs, and is built for a CUDA version."""

    def set_up(gpus=0, built_for="13.0", visible=None, warning=None):
        def is_available():
            if warning:
                warnings.warn(
                    f"CUDA initialization: {warning} (Triggered internally at a.cpp:1)",
                    stacklevel=2,
                )
            return gpus > 0

        def init():
            raise RuntimeError("No CUDA GPUs are available")

        monkeypatch.setattr(torch.cuda, "is_available", is_available)
        monkeypatch.setattr(torch.cuda, "init", init)
        # The management library counts the GPUs of a driver that torch cannot use.
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.version, "cuda", built_for)
        monkeypatch.setattr(torch_backends, "driver_cuda_version", lambda: "12.2")
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return set_up


def message(files):
    with pytest.raises(UserError) as caught:
        check_gpu_driver(files)
    return str(caught.value)


def test_driver_that_is_too_old_for_torch(pretend, driver):
    pretend(warning=TOO_OLD)
    text = message(driver)
    assert text.startswith("there is a GPU driver, but torch can use no GPU: ")
    assert "built for CUDA 13.0, the driver supports up to CUDA 12.2" in text
    assert f"torch says: CUDA initialization: {TOO_OLD[:-1]}. " in text
    assert "Triggered internally" not in text
    for cure in ("update the driver", "make install TORCH=cu126", "nvidia-smi"):
        assert cure in text
    assert "CUDA_VISIBLE_DEVICES= (to nothing)" in text
    assert "\n" not in text


def test_device_is_the_gpu_if_there_is_one_and_none_is_named(pretend, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch_backends, "has_driver", lambda files: True)
    pretend(gpus=4)
    monkeypatch.setattr(torch_backends, "count_gpus", lambda: 4)
    assert find_device(None) == torch.device("cuda", 3)
    assert find_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch_backends, "count_gpus", lambda: 0)
    pretend(visible="")
    assert find_device(None) == torch.device("cpu")
    pretend(warning=TOO_OLD)
    with pytest.raises(UserError, match="torch can use no GPU"):
        find_device(None)


def test_torch_without_cuda(pretend, driver):
    pretend(built_for=None)
    text = message(driver)
    assert "built without CUDA" in text
    assert "make install" in text


def test_error_of_torch_serves_where_it_does_not_warn(pretend, driver):
    pretend(visible="7")
    text = message(driver)
    assert "torch says: No CUDA GPUs are available. " in text
    assert "CUDA_VISIBLE_DEVICES=7 may name no GPU" in text


@pytest.mark.parametrize("visible", ["", "-1", " ", "-1,0", "NoDevFiles"])
def test_wish_for_the_cpu_is_obeyed(pretend, driver, visible):
    pretend(visible=visible)
    assert asks_for_cpu()
    check_gpu_driver(driver)


@pytest.mark.parametrize("visible", [None, "0", "0,-1", "GPU-4f"])
def test_other_values_are_no_wish_for_the_cpu(pretend, driver, visible):
    pretend(visible=visible)
    assert not asks_for_cpu()
    message(driver)


def test_machines_that_are_in_order(pretend, driver, tmp_path):
    pretend(gpus=2)
    assert count_gpus() == 2
    check_gpu_driver(driver)
    pretend(gpus=0)
    assert count_gpus() == 0
    check_gpu_driver((tmp_path / "absent",))


def test_counting_gpus_says_nothing(pretend, recwarn):
    pretend(warning=TOO_OLD)
    assert count_gpus() == 0
    assert len(recwarn) == 0


@pytest.mark.parametrize(("failure", "expected"), [(0, "12.2"), (3, None)])
def test_version_of_the_driver(monkeypatch, failure, expected):
    class Library:
        def __init__(self, name):
            assert name == "libcuda.so.1"

        def cuDriverGetVersion(self, number):
            number._obj.value = 12020
            return failure

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert driver_cuda_version() == expected


def test_machine_without_a_driver_has_no_version():
    assert driver_cuda_version("libabsent_driver.so.9") is None


def test_file_of_wsl_counts_with_the_library_of_the_driver(tmp_path):
    (tmp_path / "dxg").touch()
    files = [str(tmp_path / "dxg")]
    assert not torch_backends.has_driver(files, library="libabsent_driver.so.9")
    assert torch_backends.has_driver(files, library="libc.so.6")
    (tmp_path / "nvidiactl").touch()
    files = [str(tmp_path / "nvidiactl")]
    assert torch_backends.has_driver(files, library="libabsent_driver.so.9")


@pytest.mark.parametrize(
    ("there", "visible", "status", "said"),
    [
        (False, None, "ok", "no GPU"),
        (True, "", "ok", "GPUs hidden by CUDA_VISIBLE_DEVICES"),
        (True, None, "FAIL", "a GPU driver that torch cannot use (it supports CUDA 12.2)"),
    ],
)
def test_doctor_asks_the_same_of_the_machine(pretend, monkeypatch, there, visible, status, said):
    pretend(visible=visible)
    monkeypatch.setattr(torch_backends, "has_driver", lambda: there)
    (devices,) = (probe.run() for probe in machine.PROBES if probe.name == "devices")
    assert (devices.status, devices.found.partition(", ")[2]) == (status, said)


def test_files_of_a_driver():
    assert torch_backends.DRIVER_FILES == ("/dev/nvidiactl", "/dev/dxg")


def test_files_are_known_without_torch_and_openmmlab():
    code = (
        "import sys; from gcp_mm.engine.torch_backends import DRIVER_FILES, has_driver; "
        "has_driver(); print([name for name in ('torch', 'mmengine') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.strip() == b"[]"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Pretend a machine with the headers of Python and some programs."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    (tmp_path / "bin").mkdir()

    def install(*names):
        for name in names:
            (tmp_path / "bin" / name).touch(mode=0o755)

    return install


@pytest.mark.parametrize("options", [True, {}, dict(mode="max-autotune"), dict(backend="inductor")])
def test_missing_compiler(programs, options):
    cfg = Config(dict(compile=options))
    with pytest.raises(UserError) as caught:
        check_compile(cfg, "cpu")
    for part in ("'g++' is not found", "apt-get install g++", "CXX", "compile=False"):
        assert part in str(caught.value)
    programs("g++")
    check_compile(cfg, "cpu")


def test_gpu_needs_a_c_compiler(programs, monkeypatch):
    cfg = Config(dict(compile=True))
    programs("g++")
    with pytest.raises(UserError, match="gcc or clang is not found: apt-get install gcc"):
        check_compile(cfg, "cuda")
    programs("clang")
    check_compile(cfg, "cuda")
    monkeypatch.setenv("CC", "icx -O2")
    with pytest.raises(UserError, match="icx is not found"):
        check_compile(cfg, "cuda")


def test_compiler_that_the_user_names(programs, monkeypatch):
    monkeypatch.setenv("CXX", "clang++-18 -O2")
    cfg = Config(dict(compile=True))
    with pytest.raises(UserError, match=r"'clang\+\+-18' is not found"):
        check_compile(cfg, "cpu")
    programs("clang++-18")
    check_compile(cfg, "cpu")


def test_missing_headers(programs):
    programs("g++")
    (Path(sysconfig.get_path("include")) / "Python.h").unlink()
    with pytest.raises(UserError, match="Python.h does not exist: install this Python again with"):
        check_compile(Config(dict(compile=True)), "cpu")


@pytest.mark.parametrize("cfg", [{}, dict(compile=False), dict(compile=dict(backend="eager"))])
def test_nothing_to_compile(programs, cfg):
    check_compile(Config(cfg), "cpu")


PROGRAM = """
import json, os, sys, torch
from torch.backends import cudnn
from gcp_mm.engine.torch_backends import reproducible_kernels

matmul = torch.backends.cuda.matmul

def state():
    def allowed(owner):
        try:
            return owner.allow_tf32
        except RuntimeError:
            return "cannot be read"

    kinds = (matmul, cudnn.conv, cudnn.rnn)
    precisions = [kind.fp32_precision for kind in kinds]
    return [cudnn.enabled, cudnn.benchmark, cudnn.deterministic, precisions,
            allowed(matmul), allowed(cudnn)]

def observe():
    found = [state()]
    for tf32 in (False, True):
        try:
            with reproducible_kernels(tf32):
                found.append(state())
                raise KeyError
        except KeyError:
            found.append(state())
    print(json.dumps(found), flush=True)

for setting in json.loads(sys.argv[1]):
    if os.fork() == 0:
        exec(setting)
        observe()
        os._exit(0)
    os.wait()
"""
SETTINGS = [
    "cudnn.benchmark, cudnn.enabled = True, False",
    "matmul.allow_tf32 = True",
    "cudnn.allow_tf32 = False",
    "cudnn.conv.fp32_precision = 'ieee'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.set_float32_matmul_precision('high')",
]


@pytest.fixture(scope="module")
def observed(run_warm):
    """Return the states by setting.

    They hold for a whole process, and an old one cannot be read any more once a newer one was used.
    """
    process = run_warm("-c", PROGRAM, json.dumps(SETTINGS))
    assert process.returncode == 0, process.stderr
    return dict(zip(SETTINGS, map(json.loads, process.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_replaced_and_restored(observed, setting):
    before, exact, after, tf32, at_last = observed[setting]
    assert before == after == at_last
    assert exact[:4] == [before[0], False, True, ["ieee"] * 3]
    assert tf32[:4] == [before[0], False, True, ["tf32"] * 3]
