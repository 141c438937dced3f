"""Files are complete or absent, whatever happens while they are written.

Configs in YAML run nothing.
"""

import multiprocessing
import os
import signal
import time

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import get_file_backend

import gcp_mm.registry  # noqa: F401  (registers the backend)
from gcp_mm.engine.config import load_config
from gcp_mm.engine.fileio import AtomicLocalBackend
from gcp_mm.errors import UserError

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


RUNS = "epochs: 3\nmodel: !!python/object/apply:os.system ['touch {marker}']\n"


@pytest.mark.parametrize("suffix", ["yml", "yaml"])
@pytest.mark.parametrize("how", ["itself", "base"])
def test_tag_that_runs_code_is_refused(tmp_path, suffix, how):
    marker, config = tmp_path / "executed", tmp_path / f"x.{suffix}"
    config.write_text(RUNS.format(marker=marker))
    if how == "base":
        config = tmp_path / "y.py"
        config.write_text(f"_base_ = './x.{suffix}'\n")
    with pytest.raises(UserError, match=r"line 2 has the tag '!!python/object/apply:os.system'"):
        load_config(str(config))
    with pytest.raises(UserError):
        mmengine.load(str(tmp_path / f"x.{suffix}"))
    assert not marker.exists()


@pytest.mark.parametrize("tag", ["name:os.system", "module:antigravity", "object/new:os.x []"])
def test_other_tags_of_python_are_refused(tmp_path, tag):
    (tmp_path / "x.yml").write_text(f"a: !!python/{tag}\n")
    with pytest.raises(UserError, match=r"line 1 has the tag '!!python/"):
        mmengine.load(str(tmp_path / "x.yml"))


def test_what_mmengine_writes_comes_back(tmp_path):
    content = dict(scale=(224, (1, 2)), lr=1e-3, names=["a", None], on=True)
    Config(content).dump(tmp_path / "x.yml")
    assert "python/tuple" in (tmp_path / "x.yml").read_text()
    assert Config.fromfile(tmp_path / "x.yml").to_dict() == content


@pytest.mark.parametrize("length", [1, 2**16])
def test_yaml_is_read_as_it_is_now(tmp_path, length):
    """What a reader has done to what it got is not what the next one gets."""
    path = tmp_path / "x.yml"
    path.write_text(f"a: [1] # {'x' * length}")
    for _ in range(2):
        found = mmengine.load(str(path))
        assert found == {"a": [1]}
        found["a"].append(2)
    path.write_text("a: [3]")
    assert mmengine.load(str(path)) == {"a": [3]}
