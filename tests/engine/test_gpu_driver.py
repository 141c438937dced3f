"""A GPU driver that torch cannot use stops a run; a wish for the CPU is obeyed."""

import ctypes
import subprocess
import sys
import warnings

import pytest
import torch

from gcp_mm.doctor import machine
from gcp_mm.engine import gpu_driver
from gcp_mm.engine.gpu_driver import asks_for_cpu, check_gpu_driver, count_gpus, driver_cuda_version
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
        monkeypatch.setattr(gpu_driver, "driver_cuda_version", lambda: "12.2")
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
    assert not gpu_driver.has_driver(files, library="libabsent_driver.so.9")
    assert gpu_driver.has_driver(files, library="libc.so.6")
    (tmp_path / "nvidiactl").touch()
    files = [str(tmp_path / "nvidiactl")]
    assert gpu_driver.has_driver(files, library="libabsent_driver.so.9")


def test_doctor_looks_at_the_same_files():
    assert machine.has_driver is gpu_driver.has_driver
    assert gpu_driver.DRIVER_FILES == ("/dev/nvidiactl", "/dev/dxg")


def test_files_are_known_without_torch_and_openmmlab():
    code = (
        "import sys; from gcp_mm.engine.gpu_driver import DRIVER_FILES, has_driver; "
        "has_driver(); print([name for name in ('torch', 'mmengine') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.strip() == b"[]"
