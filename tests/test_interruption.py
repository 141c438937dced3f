"""Ctrl-C while a program is being imported: it comes from a module that the import needs."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest
from shared_folder import REPO

INTERRUPT = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)\n"


@pytest.fixture
def interrupted(tool_env, tmp_path):
    """Run Python and interrupt it where gcp_mm imports wrapt."""
    if find_spec("wrapt") is None:
        pytest.skip("there is nothing to interrupt without wrapt")
    (tmp_path / "wrapt.py").write_text(INTERRUPT)

    def run(*command, **env):
        path = os.pathsep.join([str(tmp_path), str(REPO)])
        return subprocess.run(
            [sys.executable, *map(str, command)],
            env={**tool_env, "PYTHONPATH": path, **env},
            # What runs in the background of a shell is started with Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "program",
    [["tools/train.py"], ["-m", "gcp_mm.cli", "zoo"], ["gcp-mm", "doctor"]],
    ids=["tool", "module", "script"],
)
def test_program_ends_with_one_line(interrupted, tmp_path, program):
    (tmp_path / "gcp-mm").write_text("from gcp_mm.cli.main import main\nmain()\n")
    place = {"tools/train.py": REPO / "tools/train.py", "gcp-mm": tmp_path / "gcp-mm"}
    process = interrupted(*[place.get(word, word) for word in program])
    assert (process.returncode, process.stdout) == (130, "")
    assert process.stderr == "interrupted\n"


def test_one_of_several_processes_says_it(interrupted):
    process = interrupted(REPO / "tools/train.py", LOCAL_RANK="1")
    assert (process.returncode, process.stderr) == (130, "")


def test_program_of_somebody_else_is_left_alone(interrupted, tmp_path):
    script = tmp_path / "train.py"
    script.write_text("try:\n    import gcp_mm\nexcept KeyboardInterrupt:\n    print('caught')\n")
    process = interrupted(script)
    assert (process.returncode, process.stdout) == (0, "caught\n")


def test_work_cleans_up_after_an_interruption(run_tool, tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv = ['gcp-mm']\n"
        "from gcp_mm.console.run_command import run_command\n"
        "def work():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(9)\n"
        "    finally:\n"
        "        print('cleaned up')\n"
        "run_command(work)\n"
    )
    process = run_tool("-c", code)
    assert (process.returncode, process.stdout) == (130, "cleaned up\n")
    assert process.stderr == "interrupted\n"
