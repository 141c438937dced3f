"""The launch scripts."""

import pickle
import socket
import subprocess

import pytest
from tiny_runs import only_error, read_scalars

SCRIPTS = [
    *("_common.sh", "_dist.sh", "_slurm.sh"),
    *("dist_train.sh", "dist_test.sh", "dist_test_robustness.sh"),
    *("slurm_train.sh", "slurm_test.sh", "slurm_reproduce.sh"),
]
CONFIG = "configs/mask_rcnn_r50_gcpm.py"


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
        ("dist_test.sh", ["alexnet", "x.pth", "2"]),
        ("dist_test_robustness.sh", ["{config}", "x.pth", "--dataset"]),
        ("dist_test_robustness.sh", ["alexnet", "x.pth"]),
        ("dist_test_robustness.sh", ["baseline", "{config}", "x.pth"]),
        ("dist_test_robustness.sh", ["baseline", "absent.py", "x.pth", "2"]),
    ],
)
def test_wrong_arguments_are_answered_with_the_usage(run_tool, script, arguments):
    arguments = [CONFIG if argument == "{config}" else argument for argument in arguments]
    process = run_tool("bash", f"tools/{script}", *arguments, timeout=10)
    assert "usage" in only_error(process.returncode, process.stdout, process.stderr)
    assert f"bash tools/{script} CONFIG" in process.stderr


@pytest.fixture
def launch_arguments(run_tool, tmp_path):
    """Return the arguments of the launcher that a script calls."""
    recorder = tmp_path / "python"
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    recorder.chmod(0o755)

    def call(script, *arguments, **env):
        process = run_tool("bash", f"tools/{script}", *arguments, **env, PYTHON=str(recorder))
        assert process.returncode == 0, process.stderr
        return process.stdout.splitlines()

    return call


def test_activated_environment_is_used(run_tool, tmp_path):
    """Not that of ``make install``: somebody may have activated the one of the forks."""
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "activated $2"\n')
    python.chmod(0o755)
    process = run_tool(
        *("bash", "tools/dist_train.sh", CONFIG, 1), PYTHON="", VIRTUAL_ENV=str(python.parents[1])
    )
    assert process.stdout == "activated gcp_mm.engine.launch\n"


@pytest.mark.parametrize("env", [{}, {"PORT": ""}, {"PORT": "0"}, {"NNODES": "1"}])
def test_one_node_takes_a_free_port(launch_arguments, env):
    words = launch_arguments("dist_train.sh", CONFIG, 2, "--cfg-options", "a=b c", **env)
    assert words[:2] == ["-m", "gcp_mm.engine.launch"]
    assert words[2:5] == ["--standalone", "--local_addr=127.0.0.1", "--nproc_per_node=2"]
    assert words[6:] == [CONFIG, "--cfg-options", "a=b c", "--launcher", "pytorch"]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"PORT": "29777"}, ["1", "0", "127.0.0.1", "29777"]),
        ({"NNODES": "2", "MASTER_ADDR": "node7"}, ["2", "0", "node7", "29500"]),
        ({"NNODES": "2", "NODE_RANK": "1", "PORT": "29777"}, ["2", "1", "127.0.0.1", "29777"]),
    ],
)
def test_a_given_port_and_several_nodes_meet_there(launch_arguments, env, expected):
    words = launch_arguments("dist_test.sh", CONFIG, "a.pth", 8, **env)
    names = ("nnodes", "node_rank", "master_addr", "master_port")
    meeting = [f"--{name}={value}" for name, value in zip(names, expected, strict=True)]
    assert words[2:7] == [*meeting, "--nproc_per_node=8"]
    assert words[8:] == [CONFIG, "a.pth", "--launcher", "pytorch"]


@pytest.mark.parametrize("command", [[], ["baseline"]])
@pytest.mark.parametrize("config", ["alexnet", CONFIG])
def test_robustness_takes_alexnet_and_measures_baselines(launch_arguments, command, config):
    words = launch_arguments(
        "dist_test_robustness.sh", *command, config, "a.pth", 2, "--out", "o p"
    )
    assert words[4] == "--nproc_per_node=2" and words[5].endswith("tools/test_robustness.py")
    assert words[6:] == [*command, config, "a.pth", "--out", "o p", "--launcher", "pytorch"]


def test_port_in_use_is_one_line(run_loaded, classifier):
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = run_loaded("bash", "tools/dist_train.sh", classifier, 2, PORT=str(port))
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert f"port {port} is in use on this machine" in error
    assert "leave PORT unset" in error


def test_error_in_the_processes_appears_once_and_without_traceback(
    run_loaded, classifier, tmp_path
):
    process = run_loaded(
        *("bash", "tools/dist_train.sh", classifier, 2, "--work-dir", tmp_path),
        *("--cfg-options", "train_dataloader.dataset.data_root=/no/data"),
    )
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "'/no/data' does not exist" in error


def test_two_processes_evaluate_like_one(run_loaded, classifier, trained, tmp_path):
    out = tmp_path / "out.pkl"
    process = run_loaded(
        *("bash", "tools/dist_test.sh", classifier, trained[0] / "epoch_1.pth", 2),
        *("--work-dir", tmp_path / "work", "--out", out),
    )
    assert process.returncode == 0, process.stderr
    results = pickle.loads(out.read_bytes())
    # The second process evaluates one image twice, which is dropped again.
    assert len(results) == 7
    right = sum(int(result["pred_label"]) == int(result["gt_label"]) for result in results)
    _, epochs = read_scalars(trained[0])
    assert epochs[1]["accuracy/top1"] == pytest.approx(100 * right / 7)
    assert process.stdout.count("results: accuracy/top1") == 1
