"""One training at a time in a work folder."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from mim_packages import upstream_tool
from mmengine.config import Config
from tiny_runs import only_error

from gcp_mm.engine.hooks import WorkFolderHook
from gcp_mm.engine.hooks.work_folder_hook import only_training
from gcp_mm.engine.runner import _only_training
from gcp_mm.errors import FileHeldError, UserError
from gcp_mm.locks import hold_folder


@contextmanager
def another_process_trains_in(folder: Path) -> Iterator[int]:
    """Start one, give its number, and kill it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with only_training(folder):
            os.write(writer, b"x")
            time.sleep(300)
    assert os.read(reader, 1) == b"x"
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_second_training_stops_at_once_and_says_who_holds_the_folder(
    call_tool, classifier, tmp_path
):
    with another_process_trains_in(tmp_path) as child:
        command = ("tools/train.py", classifier, "--work-dir", tmp_path)
        error = only_error(*call_tool(*command))
        assert f"{str(tmp_path)!r} is being trained in by process {child} on " in error
        assert "--work-dir" in error
        # Nothing of the first run was touched.
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    # The lock of a training that was killed holds nobody up.
    with _only_training(Config(dict(work_dir=str(tmp_path), launcher="none"))):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("launcher", "variable"),
    [("pytorch", "RANK"), ("slurm", "SLURM_PROCID"), ("mpi", "OMPI_COMM_WORLD_RANK")],
)
def test_first_process_of_a_launcher_holds_it_for_all(tmp_path, monkeypatch, launcher, variable):
    cfg = Config(dict(work_dir=str(tmp_path), launcher=launcher))
    with hold_folder(tmp_path, "is held", "wait"):
        monkeypatch.setenv(variable, "1")
        with _only_training(cfg):
            pass
        monkeypatch.setenv(variable, "0")
        with pytest.raises(UserError, match="is being trained in by process"), _only_training(cfg):
            pass


@pytest.mark.training
def test_training_by_the_tool_of_mmpretrain_stops_too(call_tool, classifier, tmp_path):
    """``mim train`` starts it; the config alone brings the lock."""
    tool = upstream_tool("mmpretrain", "train.py")
    with (
        another_process_trains_in(tmp_path) as child,
        pytest.raises(FileHeldError, match=f"is being trained in by process {child} on "),
    ):
        call_tool(tool, classifier, "--work-dir", tmp_path)
    assert list(tmp_path.glob("*.pth")) == []


def test_evaluation_may_run_beside_a_training(call_tool, classifier, trained, tmp_path):
    tool = upstream_tool("mmpretrain", "test.py")
    with another_process_trains_in(tmp_path):
        command = (tool, classifier, trained[0] / "epoch_3.pth", "--work-dir", tmp_path)
        code, output, errors = call_tool(*command)
    assert code == 0 and "accuracy/top1" in output + errors


@pytest.fixture
def runner(tmp_path):
    return SimpleNamespace(work_dir=str(tmp_path))


def test_hook_holds_the_folder_until_the_run_ends(runner, tmp_path):
    hook = WorkFolderHook()
    hook.before_train(runner)
    with pytest.raises(FileHeldError):
        hold_folder(tmp_path, "is held", "wait").acquire()
    hook.after_run(runner)
    assert list(tmp_path.iterdir()) == []


def test_hook_of_a_run_that_failed_holds_nobody_up(runner, tmp_path):
    WorkFolderHook().before_train(runner)
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_tool_and_hook_of_one_process_hold_it_once(runner, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    hook = WorkFolderHook()
    with only_training(tmp_path / "link"):
        hook.before_train(runner)
        hook.after_run(runner)
        # It is the tool's to give back.
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()
