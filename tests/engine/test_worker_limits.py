"""What workers need, and what the machine has."""

import resource
from collections import namedtuple

import pytest

from gcp_mm.engine import loader_workers as worker_limits
from gcp_mm.engine.loader_workers import fit_to_shared_memory, require_open_files
from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.loader import BatchBuffers

MEGABYTE = 2**20
BATCH = 128 * 224 * 224 * 3
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    """Set how much shared memory there is."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)

    def set_free(size):
        monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1 << 40, 0, size))

    return set_free


@pytest.mark.parametrize(
    ("size", "asked", "found"),
    [
        (1024 * MEGABYTE, 4, (4, 2)),
        # Docker's default has room for 3 of the 9 default batches.
        (64 * MEGABYTE, 4, (2, 1)),
        (64 * MEGABYTE, 1, (1, 2)),
        (45 * MEGABYTE, 4, (1, 1)),
        (20 * MEGABYTE, 4, (0, 1)),
        (0, 4, (0, 1)),
        (0, 0, (0, 2)),
    ],
)
def test_workers_fit_into_shared_memory(free, size, asked, found):
    free(size)
    workers, ahead = fit_to_shared_memory(asked, 2, BATCH)
    assert (workers, ahead) == found
    assert workers == 0 or (workers * ahead + 1) * BATCH < size


def test_processes_of_a_launcher_share_it(free, monkeypatch):
    free(256 * MEGABYTE)
    assert fit_to_shared_memory(4, 2, BATCH) == (4, 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert fit_to_shared_memory(4, 2, BATCH) == (2, 1)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"SLURM_NTASKS": "4"}, (2, 1)),
        ({"SLURM_NTASKS": "4", "SLURM_NNODES": "4"}, (4, 2)),
        ({"SLURM_NTASKS": "5", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "4"}, (2, 1)),
        ({"SLURM_NTASKS": "16", "SLURM_NNODES": "4"}, (2, 1)),
    ],
)
def test_tasks_of_other_nodes_do_not_count(free, monkeypatch, variables, found):
    free(256 * MEGABYTE)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert fit_to_shared_memory(4, 2, BATCH) == found


def test_memory_without_a_limit(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(0, 0, 0))
    assert fit_to_shared_memory(4, 2, BATCH) == (4, 2)


def test_what_a_container_lacks_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(worker_limits, "SHARED", tmp_path / "shm")
    with pytest.raises(UserError, match=r"there is no .*shm .*--ipc=host.*--shm-size.*--workers 0"):
        fit_to_shared_memory(1, 2, BATCH)
    assert fit_to_shared_memory(0, 2, BATCH) == (0, 2)


def test_memory_that_is_gone_meanwhile_is_named(monkeypatch):
    def fail(tensor):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>")

    monkeypatch.setattr("torch.Tensor.share_memory_", fail)
    with pytest.raises(UserError, match=r"no room for the 3 MB .*torch_1.*--ipc=host.*--shm-size"):
        BatchBuffers(1, (1024, 32, 32, 3))
    assert BatchBuffers(1, (4, 32, 32, 3), shared=False)[0].shape == (4, 32, 32, 3)


def test_limit_on_open_files_is_raised_or_named(monkeypatch):
    limits = [(24, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[0])
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: limits.insert(0, new))
    require_open_files(0)
    assert limits == [(24, 4096)]
    require_open_files(2)
    assert 48 < limits[0][0] < 4096 and limits[0][1] == 4096
    limits[:] = [(24, 24)]
    with pytest.raises(UserError, match=r"^24 open files are allowed .ulimit -n., and 1 workers"):
        require_open_files(1)
