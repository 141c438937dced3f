"""What is kept back at a start, and how it is shown."""

import re
import subprocess
import sys

import pytest
from mim_packages import has_forks
from tiny_runs import read_log

from gcp_mm.console import noise

WARN = """
import warnings
from gcp_mm.console.noise import be_quiet
be_quiet()
be_quiet()
warnings.warn("pkg_resources is deprecated as an API. See", UserWarning)
warnings.warn("'pin_memory' argument is set as true but no accelerator is found", UserWarning)
warnings.warn("of this project", UserWarning)
child = "import warnings; warnings.warn('pkg_resources is deprecated as an API'); print('child')"
import subprocess, sys
subprocess.run([sys.executable, "-c", child], check=True)
"""


@pytest.mark.parametrize(
    ("env", "shown"),
    [({}, 1), ({"RANK": "0"}, 1), ({"RANK": "3"}, 0), ({"SLURM_PROCID": "1"}, 0)]
    + [({noise.VERBOSE: "1"}, 4), ({noise.VERBOSE: "1", "RANK": "3"}, 4)],
)
def test_warnings_of_others_are_kept_back(tool_env, env, shown):
    """Also in a process that is started from here; those of this project are shown once."""
    process = subprocess.run(
        [sys.executable, "-c", WARN],
        env={**tool_env, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "child\n"
    assert process.stderr.count("UserWarning: ") == shown
    assert process.stderr.count("of this project") == (shown > 0)


def test_training_shows_what_changes_and_its_file_has_all(trained):
    work_dir, process = trained
    printed = process.stdout + process.stderr
    kept_back = ("System environment:", "Config:", "Hooks will be executed", "FileClient")
    for text in kept_back:
        assert text not in printed
        assert text in read_log(work_dir)
    assert re.search(r"environment, config and hooks are in \S+\.log; --verbose or ", printed)
    assert "Epoch(train)" in printed and "accuracy/top1" in printed
    warned = [line for line in printed.splitlines() if re.search("(?i)warn|deprecat", line)]
    assert len(warned) == 1 and "learning rate" in warned[0], warned


def test_everything_is_shown_on_demand(trained_otherwise):
    _, process = trained_otherwise
    # The forks do not import pkg_resources.
    texts = ["System environment:", "Config:", "Hooks will be executed"]
    for text in [*texts, "pkg_resources is"][: 3 if has_forks() else 4]:
        assert text in process.stdout + process.stderr
