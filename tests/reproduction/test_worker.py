"""Commands as processes, which end with the one that started them."""

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from processes import is_running

from gcp_mm.errors import UserError
from gcp_mm.reproduction import worker as room
from gcp_mm.reproduction.worker import Worker, program, stop

HERE = [sys.executable, "-m", "gcp_mm.cli"]


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize("command", ["train", "test", "robustness", "landscape", "corrupt"])
def test_commands_are_modules_of_this_python(gpus, command):
    assert program(["gcp-mm", command, "a b"], gpus) == [*HERE, command, "a b"]


def test_on_several_gpus_a_training_has_a_process_for_each():
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4"]
    for command in ("train", "test"):
        words = program(["gcp-mm", command, "c.py"], gpus=4)
        expected = [sys.executable, *launcher, *HERE[1:], command, "c.py"]
        assert words == [*expected, "--launcher", "pytorch"]
    for command in ("robustness", "landscape", "corrupt"):
        assert program(["gcp-mm", command, "c.py"], gpus=4) == [*HERE, command, "c.py"]


def test_data_are_made_by_the_tool_of_the_source_tree(repo, tmp_path, monkeypatch):
    words = program(["make_demo_data.py", "--root", "x"])
    assert words == [sys.executable, str(repo / "tools/make_demo_data.py"), "--root", "x"]
    monkeypatch.setattr(room, "__file__", str(tmp_path / "gcp_mm/reproduction/worker.py"))
    with pytest.raises(UserError, match="an installed package has none"):
        program(["make_demo_data.py", "--root", "x"])


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Return a function that starts a program in place of the command."""
    started = []

    def begin(text, threads=3, devices=()):
        monkeypatch.setattr(room, "program", lambda words, gpus: [sys.executable, "-c", text])
        worker = Worker(["gcp-mm", "train"], tmp_path / "a/log.txt", threads, devices)
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        if worker.code() is None:
            stop([worker])


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.process
@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_output_and_variables(start, tmp_path, code):
    text = (
        "import os, sys; print(*map(os.environ.get, ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES')))"
    )
    text += f"; print('to err', file=sys.stderr); sys.stdin.read(); sys.exit({code})"
    (tmp_path / "a").mkdir()
    (tmp_path / "a/log.txt").write_text("before\n")
    worker = start(text, threads=5, devices=("2", "GPU-3"))
    assert wait_for(lambda: worker.code() is not None) and worker.code() == code
    lines = (tmp_path / "a/log.txt").read_text().splitlines()
    assert lines[0] == "before" and sorted(lines[1:]) == ["5 2,GPU-3", "to err"]


@pytest.mark.process
def test_stop_ends_all_together(start):
    workers = [start("import time; time.sleep(300)") for _ in range(2)]
    assert [worker.code() for worker in workers] == [None, None]
    stop(workers)
    assert [worker.code() for worker in workers] == [-signal.SIGTERM] * 2
    # One that has ended is left as it is.
    stop(workers)
    stop([])


@pytest.mark.process
def test_one_that_will_not_end_is_killed(start, tmp_path):
    text = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    worker = start(f"{text}; print('deaf', flush=True); time.sleep(300)")
    assert wait_for(lambda: "deaf" in (tmp_path / "a/log.txt").read_text())
    worker.terminate()
    assert worker.code() is None
    worker.wait(0.1)
    assert worker.code() == -signal.SIGKILL


PARENT = """
import sys, time
from pathlib import Path
from gcp_mm.reproduction import worker

child = f"import os, time; open({sys.argv[1] + '/pid'!r}, 'w').write(str(os.getpid()))"
child += "; time.sleep(300)"
worker.program = lambda words, gpus: [sys.executable, "-c", child]
worker.Worker(["gcp-mm", "train"], Path(sys.argv[1], "log.txt"), 1, ["0"])
time.sleep(300)
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="the signal at the parent's death is Linux's")
def test_a_program_ends_with_its_parent_however_that_ends(start_python, tmp_path):
    parent = start_python(PARENT, tmp_path)
    file = tmp_path / "pid"
    assert wait_for(lambda: file.is_file() and file.read_text())
    pid = int(file.read_text())
    assert is_running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert wait_for(lambda: not is_running(pid), seconds=2)


def test_what_is_imported_for_all_is_there():
    for name in room._PRELOAD:
        assert importlib.util.find_spec(name), name
    assert Path(importlib.util.find_spec(room._MODULE).origin).name == "__init__.py"
