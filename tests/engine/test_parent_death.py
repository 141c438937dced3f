"""Workers do not outlive a launcher that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running

WORKER = """
import os, sys, time
from pathlib import Path
from gcp_mm.engine.parent_death import die_with_parent
if 'stay' not in sys.argv:
    die_with_parent()
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(120)
"""


def outlives(parent: subprocess.Popen, pid_file: Path, seconds: float) -> bool:
    """Kill a process when its child has written its number; say whether the child stays."""
    end = time.monotonic() + 120
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    child = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    end = time.monotonic() + seconds
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.1)
    alive = is_running(child)
    if alive:
        os.kill(child, signal.SIGKILL)
    return alive


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel request is Linux's")
@pytest.mark.parametrize("mode", ["die", "stay"])
def test_worker_ends_with_a_killed_launcher(tmp_path, tool_env, mode):
    script, pid_file = tmp_path / "worker.py", tmp_path / "pid"
    script.write_text(WORKER)
    launcher = subprocess.Popen(
        [sys.executable, "-m", "gcp_mm.engine.launch", "--nproc_per_node=1", "--standalone"]
        + [str(script), str(pid_file), mode],
        env=tool_env,
        stderr=subprocess.DEVNULL,
    )
    # Without the request the worker stays: that is what it is for.
    assert outlives(launcher, pid_file, seconds=5) == (mode == "stay")


LOADER = """
import sys, time
from pathlib import Path
from torch.utils.data import DataLoader
from gcp_mm.engine.parent_death import end_children_too

class Large:
    # Pickled, as masks are: more than a pipe holds.
    def __len__(self):
        return 99
    def __getitem__(self, index):
        return bytes(2**20)

if 'stay' not in sys.argv:
    end_children_too()
    end_children_too()
batches = iter(DataLoader(Large(), num_workers=1, prefetch_factor=8, collate_fn=list))
next(batches)
time.sleep(1)
Path(sys.argv[1]).write_text(str(batches._workers[0].pid))
time.sleep(120)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel request is Linux's")
@pytest.mark.parametrize("mode", ["die", "stay"])
def test_worker_of_a_data_loader_ends_with_a_killed_training(tmp_path, tool_env, mode):
    script, pid_file = tmp_path / "loader.py", tmp_path / "pid"
    script.write_text(LOADER)
    training = subprocess.Popen([sys.executable, str(script), str(pid_file), mode], env=tool_env)
    # By itself a worker looks after its parent every five seconds.
    seconds = 5 if mode == "die" else 8
    assert outlives(training, pid_file, seconds) == (mode == "stay")
