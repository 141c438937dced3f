"""Two evaluations never write one file at the same time."""

import subprocess

import pytest
from tiny_runs import only_error

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.result import only_writer

HOLD = """
import os, sys, time
from pathlib import Path
from gcp_mm.robustness.evaluation.result import only_writer
with only_writer(Path(sys.argv[1])):
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path, warm_env):
    """Return the number of a process that writes out.json, and a function that kills it."""
    command = [warm_env["PYTHON"], "-c", HOLD, tmp_path / "out.json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=warm_env)
    # The forks of OpenMMLab print a line when they are imported.
    number = next(int(line) for line in process.stdout if line.strip().isdigit())

    def kill():
        process.kill()
        process.communicate()

    yield number, kill
    if process.returncode is None:
        kill()


def test_other_process_is_named_until_it_ends(holder, tool, part_c, tmp_path):
    number, kill = holder
    error = only_error(*tool("imagenet-c", part_c, "--severities", 1))
    assert f"{str(tmp_path / 'out.json')!r} is being written by process {number} on" in error
    assert error.endswith("): wait for it, or choose another --out")
    assert not (tmp_path / "out.json").exists()
    # Killed, so that the lock is left behind.
    kill()
    assert (tmp_path / ".out.json.lock").exists()
    code, _, errors = tool("imagenet-c", part_c, "--severities", 1)
    assert code == 0, errors
    assert not list(tmp_path.glob(".*"))


def test_lock_is_removed_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path / "new" / "out.json"):
        assert (tmp_path / "new" / ".out.json.lock").exists()
        raise ZeroDivisionError
    assert not list((tmp_path / "new").iterdir())


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    named = r"file/\.out\.json\.lock' cannot be written"
    with pytest.raises(UserError, match=named), only_writer(tmp_path / "file" / "out.json"):
        pass
