"""``MMCV=build`` on machines with a GPU: which operators are built, with which nvcc."""

import pytest


def nvcc(machine, release, name="nvcc"):
    machine.script(
        name, f"#!/usr/bin/env bash\necho 'Cuda compilation tools, release {release}, V1'"
    )


@pytest.mark.parametrize("driver", ["nvidiactl", "dxg"])
def test_gpu_without_nvcc_is_told_before_anything_is_installed(machine, driver):
    (machine.folder / driver).touch()
    clone = machine.clone()
    status, output = machine.install(clone, MMCV="build")
    assert (status, machine.done()) == (1, [])
    assert "nvcc, the CUDA compiler, of torch's CUDA 13, for" in output
    assert machine.install(clone, MMCV="build", FORCE_CUDA="0")[0] == 0


@pytest.mark.parametrize("driver", ["nvidiactl", "dxg"])
def test_operators_are_built_for_the_gpus_that_are_there(machine, driver):
    (machine.folder / driver).touch()
    nvcc(machine, "13.0")
    status, output = machine.install(machine.clone(), MMCV="build", FAKE_CAPABILITIES="8.6+9.0")
    assert status == 0, output
    assert "wheel  1 precompiled_cxx.sh" in machine.done()
    (wheel,) = machine.kept()
    assert "-cuda-8.6+9.0-" in wheel


@pytest.mark.parametrize("answer", ["-", "", "cp311 2.13.0+cu130 13", "warning\n9.0"])
def test_other_answers_are_no_capabilities(machine, answer):
    (machine.folder / "nvidiactl").touch()
    nvcc(machine, "13.0")
    status, output = machine.install(machine.clone(), MMCV="build", FAKE_CAPABILITIES=answer)
    assert status == 0, output
    (wheel,) = machine.kept()
    assert "-cpu-" in wheel


@pytest.mark.parametrize("torch, fits", [("default", "13"), ("cu126", "12"), ("cu130", "13")])
def test_nvcc_of_another_cuda_is_told_first(machine, torch, fits):
    (machine.folder / "nvidiactl").touch()
    clone = machine.clone()
    other = {"12": "13", "13": "12"}[fits]
    nvcc(machine, f"{other}.1")
    status, output = machine.install(clone, "--check-only", MMCV="build", TORCH=torch)
    assert status == 1
    assert f"of torch's CUDA {fits}, not {other}, for" in output
    nvcc(machine, f"{fits}.1")
    assert machine.install(clone, "--check-only", MMCV="build", TORCH=torch)[0] == 0


def test_nvcc_is_looked_for_where_torch_does(machine):
    (machine.folder / "nvidiactl").touch()
    (machine.folder / "cuda/bin").mkdir(parents=True)
    nvcc(machine, "13.0", "../cuda/bin/nvcc")
    clone = machine.clone()
    status, output = machine.install(clone, "--check-only", MMCV="build")
    assert status == 0, output
    status, output = machine.install(clone, "--check-only", MMCV="build", CUDA_HOME="/nowhere")
    assert status == 1
