"""The launch scripts for SLURM, with a stand-in for srun."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from processes import is_running
from stand_in_srun import SRUN, forking_srun, put_on_path
from tiny_runs import only_error

CONFIG = "configs/mask_rcnn_r50_gcpm.py"


@pytest.fixture
def srun_arguments(run_tool, tmp_path):
    """Return what a script passes to srun, and the port that it exports."""
    path = put_on_path(
        tmp_path, '#!/bin/sh\nprintf "%s\\n" "$@"\necho "port ${MASTER_PORT:-none}"\n'
    )

    def call(script, *arguments, **env):
        process = run_tool("bash", f"tools/{script}", *arguments, PATH=path, **env)
        assert process.returncode == 0, process.stderr
        *words, port = process.stdout.splitlines()
        return words, port.removeprefix("port ")

    return call


def test_everything_is_passed_on(srun_arguments, repo):
    words, port = srun_arguments(
        *("slurm_train.sh", "gpu", "job 1", CONFIG, "--cfg-options", "a=b c"),
        GPUS="16",
        SRUN_ARGS="--time=1:00 --mem=8G",
        PORT="29777",
    )
    assert words[:2] == ["--partition=gpu", "--job-name=job 1"]
    expected = {"--ntasks=16", "--ntasks-per-node=8", "--gres=gpu:8", "--cpus-per-task=5"}
    assert expected | {"--kill-on-bad-exit=1", "--time=1:00", "--mem=8G"} <= set(words)
    tool = str(repo / "tools" / "train.py")
    assert words[-7:] == [*("-u", tool, CONFIG), "--cfg-options", "a=b c", "--launcher", "slurm"]
    assert port == "29777"


def test_evaluation(srun_arguments, repo):
    words, port = srun_arguments(
        *("slurm_test.sh", "gpu", "job", CONFIG, "a.pth", "--out", "a.pkl"), GPUS="2"
    )
    assert {"--ntasks=2", "--ntasks-per-node=2", "--gres=gpu:2"} <= set(words)
    tool = str(repo / "tools" / "test.py")
    assert words[-7:] == [tool, CONFIG, "a.pth", "--out", "a.pkl", "--launcher", "slurm"]
    assert port == "none"


@pytest.mark.parametrize("script", ["slurm_train.sh", "slurm_test.sh"])
@pytest.mark.parametrize(
    ("arguments", "env", "wrong"),
    [
        ([], {}, "partition ''"),
        (["gpu", "job"], {}, "config ''"),
        (["gpu", "job", "configs/absent.py"], {}, "config 'configs/absent.py' must be a file"),
        (["gpu", "", CONFIG], {}, "job name ''"),
        (["gpu", "job", CONFIG, "a.pth"], {"GPUS": "0"}, "GPUS '0'"),
        (["gpu", "job", CONFIG, "a.pth"], {"GPUS_PER_NODE": "two"}, "GPUS_PER_NODE 'two'"),
        (["gpu", "job", CONFIG, "a.pth"], {"CPUS_PER_TASK": "-1"}, "CPUS_PER_TASK '-1'"),
    ],
)
def test_wrong_arguments_are_answered_with_the_usage(run_tool, script, arguments, env, wrong):
    process = run_tool("bash", f"tools/{script}", *arguments, timeout=10, **env)
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert wrong in error
    assert f"bash tools/{script} PARTITION JOB_NAME CONFIG" in process.stderr


@pytest.mark.parametrize("rest", [[], ["--out", "a.pkl"]])
def test_missing_checkpoint(run_tool, rest):
    process = run_tool("bash", "tools/slurm_test.sh", "gpu", "job", CONFIG, *rest, timeout=10)
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "the checkpoint must follow the config" in error
    assert "CONFIG CHECKPOINT" in process.stderr


@pytest.mark.skipif(shutil.which("srun") is not None, reason="this machine has SLURM")
def test_machine_without_slurm(run_tool):
    process = run_tool("bash", "tools/slurm_train.sh", "gpu", "job", CONFIG, timeout=10)
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "there is no srun here" in error
    assert "tools/dist_train.sh" in error


def test_error_appears_once(run_loaded, classifier, tmp_path):
    process = run_loaded(
        *("bash", "tools/slurm_train.sh", "cpu", "job", classifier),
        *("--cfg-options", "train_dataloader.dataset.data_root=/no/data"),
        GPUS="2",
        PATH=put_on_path(tmp_path, SRUN),
    )
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "'/no/data' does not exist" in error


def test_processes_end_with_a_killed_launcher(loaded_env, classifier, repo, tmp_path):
    pids = tmp_path / "pids"
    path = put_on_path(tmp_path, forking_srun(tmp_path, loaded_env["PYTHON"]))
    launcher = subprocess.Popen(
        [*("bash", "tools/slurm_train.sh", "cpu", "job", classifier)]
        + ["--work-dir", tmp_path / "work", "--cfg-options", "train_cfg.max_epochs=9999"],
        cwd=repo,
        env={**loaded_env, "GPUS": "2", "PATH": path, "PIDS": str(pids)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 120
    while not (tmp_path / "work" / "epoch_1.pth").exists() and time.monotonic() < end:
        time.sleep(0.05)
    tasks = [int(pid) for pid in pids.read_text().split()]
    started = all(map(is_running, tasks))
    launcher.kill()
    launcher.wait()
    end = time.monotonic() + 5
    while any(map(is_running, tasks)) and time.monotonic() < end:
        time.sleep(0.02)
    alive = [pid for pid in tasks if is_running(pid)]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert started
    assert len(tasks) == 2
    assert alive == []
