"""What was chosen stays until something else is chosen, also after installs that did not end."""

import signal
import time
from pathlib import Path

import pytest


def change_lock(clone):
    with (clone / "requirements/lock.txt").open("a") as lock:
        lock.write("# changed\n")


@pytest.mark.parametrize("arguments", [(), ("--force",)])
def test_failed_install_keeps_torch(machine, arguments):
    clone = machine.clone()
    if arguments:
        machine.install(clone, TORCH="cu126")
        assert machine.install(clone, *arguments, FAKE_DOCTOR="1")[0] != 0
    else:
        assert machine.install(clone, TORCH="cu126", FAKE_DOCTOR="1")[0] != 0
    # Not taken for a finished one.
    status, output = machine.install(clone, "--check-only")
    assert "missing or out of date" in output
    status, output = machine.install(clone)
    assert (status, machine.done()) == (0, ["sync", "torch", "project"]), output


def test_failed_install_keeps_mmcv(machine):
    clone = machine.clone()
    assert machine.install(clone, MMCV="build", FAKE_DOCTOR="1")[0] != 0
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["sync", "no mmcv-lite", "mmcv", "project"]
    # The other way round as well.
    assert machine.install(clone, MMCV="lite", FAKE_DOCTOR="1")[0] != 0
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["sync", "project"]


def test_interrupted_install_keeps_mmcv_and_torch(machine):
    clone = machine.clone()
    process = machine.start(clone, MMCV="build", TORCH="cu126", FAKE_BUILD="hangs")
    for _ in range(400):
        if Path(f"{machine.log}.pid").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert machine.install(clone)[0] == 0
    assert machine.done()[:3] == ["sync", "torch", "wheel  0 precompiled_cxx.sh"]


@pytest.mark.parametrize("stage", ["venv", "doctor"])
def test_failed_install_keeps_managed_python(machine, stage):
    clone = machine.clone()
    fake_uv = (machine.bin / "uv").read_text()
    if stage == "venv":
        machine.script("uv", fake_uv.replace("  venv*) ", "  venv*) exit 1 ;;\n  other*) "))
    status, output = machine.install(clone, PYTHON="managed", FAKE_DOCTOR="1")
    assert status != 0
    machine.script("uv", fake_uv)
    status, output = machine.install(clone)
    assert status == 0, output
    # Known as uv's own, so that it is not made anew when that is asked for.
    assert machine.install(clone, PYTHON="managed")[1].startswith("Installed already")


def test_forced_install_keeps_managed_python(machine):
    clone = machine.clone()
    machine.install(clone, PYTHON="managed")
    machine.install(clone, "--force")
    assert machine.install(clone, PYTHON="managed")[1].startswith("Installed already")


@pytest.mark.parametrize("ops, mmcv", [("cuda-9.0", True), ("cpu", False)])
def test_stamp_from_when_mmcv_was_always_compiled(machine, ops, mmcv):
    clone = machine.clone()
    machine.install(clone)
    stamp = clone / ".venv/.gcp_mm_install"
    stamp.write_text(f"stack=1\nproject=2\nops={ops}\nroot={clone}\n")
    assert machine.install(clone)[0] == 0
    assert ("mmcv" in machine.done()) is mmcv


def test_operators_for_the_cpu_stay(machine):
    (machine.folder / "nvidiactl").touch()
    clone = machine.clone()
    # The doctor fails where the GPU is there and not used.
    status, output = machine.install(clone, MMCV="build", FORCE_CUDA="0", FAKE_DOCTOR="1")
    assert status == 0, output
    assert "detection runs on the CPU only" in output
    change_lock(clone)
    status, output = machine.install(clone, FAKE_DOCTOR="1")
    assert status == 0, output
    assert machine.done() == ["sync", "no mmcv-lite", "mmcv", "project"]


def test_torch_for_the_cpu_on_a_machine_with_a_gpu(machine):
    (machine.folder / "nvidiactl").touch()
    clone = machine.clone()
    status, output = machine.install(clone, TORCH="cpu", MMCV="build", FAKE_DOCTOR="1")
    assert status == 0, output
    assert "detection runs on the CPU only" in output
    # The GPU is looked at again when it is to be used.
    assert machine.install(clone, TORCH="default", MMCV="lite", FAKE_DOCTOR="1")[0] != 0


def test_without_a_gpu_nothing_is_said_of_it(machine):
    status, output = machine.install(machine.clone(), TORCH="cpu")
    assert status == 0
    assert "CPU only" not in output
