"""The launch scripts."""

import pickle
import subprocess

import pytest
from tiny_runs import free_port, only_error, read_scalars

SCRIPTS = [
    *("_dist.sh", "dist_train.sh", "dist_test.sh", "dist_test_robustness.sh", "slurm_train.sh"),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_valid_bash(repo, script):
    subprocess.run(["bash", "-n", repo / "tools" / script], check=True)


def test_every_script_is_checked(repo):
    assert sorted(SCRIPTS) == sorted(path.name for path in (repo / "tools").glob("*.sh"))


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("dist_train.sh", []),
        ("dist_train.sh", ["{config}"]),
        ("dist_train.sh", ["{config}", "two"]),
        ("dist_train.sh", ["{config}", "0"]),
        ("dist_train.sh", ["{config}", "-1"]),
        ("dist_train.sh", ["configs/absent.py", "2"]),
        ("dist_train.sh", ["{config}", "--resume"]),
        ("dist_test.sh", []),
        ("dist_test.sh", ["{config}", "x.pth"]),
        ("dist_test.sh", ["{config}", "2", "x.pth"]),
        ("dist_test_robustness.sh", ["{config}", "x.pth", "--dataset"]),
    ],
)
def test_wrong_arguments_are_answered_with_the_usage(run_tool, script, arguments):
    config = "configs/mask_rcnn_r50_gcpm.py"
    arguments = [config if argument == "{config}" else argument for argument in arguments]
    process = run_tool("bash", f"tools/{script}", *arguments, timeout=10)
    assert "usage" in only_error(process.returncode, process.stdout, process.stderr)
    assert f"bash tools/{script} CONFIG" in process.stderr


def test_slurm_script_explains_itself(run_tool):
    process = run_tool("bash", "tools/slurm_train.sh", "partition", timeout=10)
    assert process.returncode == 2
    assert "tools/slurm_train.sh PARTITION JOB_NAME CONFIG" in process.stderr


def test_slurm_script_passes_everything_on(run_tool, tmp_path):
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    process = run_tool(
        *("env", f"PATH={tmp_path}:/usr/bin:/bin", "bash", "tools/slurm_train.sh"),
        *("gpu", "job 1", "net.py", "--cfg-options", "a=b c"),
        GPUS="16",
        SRUN_ARGS="--time=1:00 --mem=8G",
    )
    words = process.stdout.splitlines()
    assert words[:2] == ["--partition=gpu", "--job-name=job 1"]
    assert {"--ntasks=16", "--ntasks-per-node=8", "--gres=gpu:8", "--time=1:00"} <= set(words)
    assert words[-5:] == ["net.py", "--launcher", "slurm", "--cfg-options", "a=b c"]


def test_error_in_the_processes_appears_once_and_without_traceback(run_tool, classifier, tmp_path):
    process = run_tool(
        *("bash", "tools/dist_train.sh", classifier, 2, "--work-dir", tmp_path),
        *("--cfg-options", "train_dataloader.dataset.data_root=/no/data"),
        PORT=str(free_port()),
    )
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "'/no/data' does not exist" in error


def test_two_processes_evaluate_like_one(run_tool, classifier, trained, tmp_path):
    out = tmp_path / "out.pkl"
    process = run_tool(
        *("bash", "tools/dist_test.sh", classifier, trained[0] / "epoch_1.pth", 2),
        *("--work-dir", tmp_path / "work", "--out", out),
        PORT=str(free_port()),
    )
    assert process.returncode == 0, process.stderr
    results = pickle.loads(out.read_bytes())
    # The second process evaluates one image twice, which is dropped again.
    assert len(results) == 7
    right = sum(int(result["pred_label"]) == int(result["gt_label"]) for result in results)
    _, epochs = read_scalars(trained[0])
    assert epochs[1]["accuracy/top1"] == pytest.approx(100 * right / 7)
    assert process.stdout.count("accuracy/top1") == 1
