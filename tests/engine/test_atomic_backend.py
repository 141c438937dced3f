"""Files are complete or absent, whatever happens while they are written."""

import multiprocessing
import os
import signal
import time

import pytest
import torch
from mmengine.fileio import get_file_backend

import gcp_mm.registry  # noqa: F401  (registers the backend)
from gcp_mm.engine.fileio import AtomicLocalBackend

MEGABYTE = 2**20


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "epoch_1.pth"
    torch.save({"epoch": 1}, path)
    return path


def epoch(path):
    return torch.load(path)["epoch"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_configs_get_this_backend(target):
    backend = get_file_backend(str(target), backend_args={"backend": "gcp_mm_atomic"})
    assert type(backend) is AtomicLocalBackend


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_success_leaves_the_new_file_alone(target, kind):
    AtomicLocalBackend().put(b"new", kind(target))
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["epoch_1.pth"]


def test_folders_are_made(tmp_path):
    AtomicLocalBackend().put(b"new", tmp_path / "a/b/x.pth")
    assert (tmp_path / "a/b/x.pth").read_bytes() == b"new"


def test_failure_in_the_middle_keeps_the_old_file(target):
    resource = pytest.importorskip("resource", reason="limits on file sizes need Unix")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MEGABYTE, limits[1]))
    try:
        with pytest.raises(OSError):
            AtomicLocalBackend().put(bytes(8 * MEGABYTE), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert epoch(target) == 1
    AtomicLocalBackend().put(b"new", target)
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["epoch_1.pth"]


def test_content_is_on_the_disk_before_it_takes_the_name(target, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        AtomicLocalBackend().put(b"new", target)
    assert epoch(target) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_in_the_middle_keeps_the_old_file(target):
    def write():
        os.fsync = lambda descriptor: time.sleep(60)
        AtomicLocalBackend().put(bytes(64 * MEGABYTE), target)

    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    end = time.monotonic() + 30
    while len(names(target.parent)) == 1 and time.monotonic() < end:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # Something was being written, and not under the final name.
    assert len(names(target.parent)) == 2
    assert epoch(target) == 1
    AtomicLocalBackend().put(b"new", target)
    assert names(target.parent) == ["epoch_1.pth"]
