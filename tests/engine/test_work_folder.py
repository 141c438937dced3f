"""One training at a time in a work folder."""

import os
import signal
import time

import pytest
from mmengine.config import Config
from tiny_runs import only_error

from gcp_mm.engine.runner import _only_training
from gcp_mm.errors import UserError
from gcp_mm.locks import hold_folder


def test_second_training_stops_at_once_and_says_who_holds_the_folder(
    call_tool, classifier, tmp_path
):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with _only_training(Config(dict(work_dir=str(tmp_path), launcher="none"))):
            os.write(writer, b"x")
            time.sleep(300)
    assert os.read(reader, 1) == b"x"
    try:
        command = ("tools/train.py", classifier, "--work-dir", tmp_path)
        error = only_error(*call_tool(*command))
        assert f"{str(tmp_path)!r} is being trained in by process {child} on " in error
        assert "--work-dir" in error
        # Nothing of the first run was touched.
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
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
