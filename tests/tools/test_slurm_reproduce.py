"""A plan under SLURM, with a stand-in for sbatch."""

import shlex

import pytest
from stand_in_srun import put_on_path

SBATCH = """#!/bin/sh
printf "%s\\n" "$@" END >> "$SUBMITTED"
echo "$(grep -c END "$SUBMITTED")1;cluster"
"""


@pytest.fixture
def submitted(run_loaded, tmp_path, monkeypatch):
    """Submit, and return the arguments of each sbatch and what was printed."""
    log = tmp_path / "submitted"
    path = put_on_path(tmp_path, SBATCH, "sbatch")

    def call(*arguments, **env):
        process = run_loaded(
            *("bash", "tools/slurm_reproduce.sh", *arguments),
            **{"PATH": path, "SUBMITTED": str(log), **env},
        )
        assert process.returncode == 0, process.stderr
        jobs = [text.splitlines() for text in log.read_text().split("END\n")[:-1]]
        return jobs, process.stdout

    return call


@pytest.mark.process
def test_data_networks_and_page_are_submitted_in_their_order(submitted, repo):
    (data, networks, page), printed = submitted(
        *("gpu", "my job", "quick", "--data-root", "/my data"), GPUS="4", SBATCH_ARGS="--time=1:00"
    )
    for job in (data, networks, page):
        assert "--kill-on-invalid-dep=yes" in job
        assert {"--parsable", "--partition=gpu", "--time=1:00", "--cpus-per-task=20"} <= set(job)
    # 12 networks of 3 seeds.
    assert {"--array=0-35", "--gres=gpu:4", "--dependency=afterok:11"} <= set(networks)
    assert "--dependency=afterany:21" in page and "36 networks" in printed
    tool = [str(repo / "tools" / "reproduce.py"), "quick", "--data-root", "/my data"]
    ends = (["--prepare"], ["--task", "$SLURM_ARRAY_TASK_ID"], ["--report"])
    for job, end in zip((data, networks, page), ends, strict=True):
        (wrapped,) = (word for word in job if word.startswith("--wrap="))
        assert shlex.split(wrapped.removeprefix("--wrap="))[2:] == [*tool, *end]


@pytest.mark.process
def test_options_go_to_the_calls_that_read_them(submitted, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 2\n")
    python.chmod(0o755)
    words = ["quick", "--out", "a page", "--jobs=3", "--work-dir", "w"]
    jobs, _ = submitted("gpu", "job", *words, PYTHON=str(python))
    for job, end in zip(
        jobs,
        (["--jobs=3", "--prepare"], ["--jobs=3", "--task", "$SLURM_ARRAY_TASK_ID"])
        + (["--out", "a page", "--report"],),
        strict=True,
    ):
        (wrapped,) = (word for word in job if word.startswith("--wrap="))
        found = shlex.split(wrapped.removeprefix("--wrap="))
        assert found[3:] == ["quick", "--work-dir", "w", *end]


@pytest.mark.process
@pytest.mark.parametrize("root", ["/it's d\u00e9j\u00e0 $HOME `x`", "a\\b \"c\" ''", "-x;y&z*"])
def test_words_arrive_whole_through_sh(submitted, run_tool, tmp_path, root):
    # A stand-in for Python, which prints what it is given.
    python = tmp_path / "it's a python"
    python.write_text('#!/bin/sh\n[ "$5" = --count-tasks ] && echo 2 || printf "<%s>\\n" "$@"\n')
    python.chmod(0o755)
    words = ["quick", f"--data-root={root}"]
    jobs, _ = submitted("gpu", "job", *words, PYTHON=str(python))
    ends = (["--prepare"], ["--task", "7"], ["--report"])
    for job, end in zip(jobs, ends, strict=True):
        (wrapped,) = (word for word in job if word.startswith("--wrap="))
        text = wrapped.removeprefix("--wrap=")
        process = run_tool("sh", "-c", text, SLURM_ARRAY_TASK_ID="7")
        assert process.returncode == 0, process.stderr
        found = process.stdout.splitlines()
        assert found[0] == "<-u>" and found[1].endswith("/tools/reproduce.py>")
        assert found[2:] == [f"<{word}>" for word in [*words, *end]]


@pytest.mark.parametrize(
    ("arguments", "env", "wrong"),
    [
        (("gpu", "job"), {}, "plan ''"),
        (("gpu", "job", "--task"), {}, "plan '--task'"),
        (("gpu", "job", "quick"), {"GPUS": "0"}, "GPUS '0'"),
        (("gpu", "job", "quick"), {}, "there is no sbatch here"),
    ],
)
def test_what_is_wrong_is_named(run_tool, arguments, env, wrong):
    process = run_tool("bash", "tools/slurm_reproduce.sh", *arguments, **env)
    assert process.returncode == 2 and wrong in process.stderr
