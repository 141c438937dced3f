"""Failures of the machine: one line for them, a traceback for every bug."""

import errno
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from gcp_mm.console import machine_errors
from gcp_mm.console.machine_errors import explain
from gcp_mm.errors import UserError


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some of your quota"),
        (errno.EROFS, "choose a folder that can be written to"),
        (errno.EACCES, "choose another folder"),
        (errno.ENOTDIR, "a part of the path is a file"),
        (errno.EEXIST, "a part of the path is a file"),
        (errno.ELOOP, "remove the link that leads to itself"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_error_of_the_system_names_file_and_remedy(number, remedy):
    told = explain(OSError(number, os.strerror(number), "work_dirs/x"))
    assert "'work_dirs/x'" in told and os.strerror(number) in told and remedy in told
    assert "\n" not in told


def test_home_that_nobody_has_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gcp-mm", "", "--work-dir=~nosuchuser/w", "c.py"])
    with pytest.raises(RuntimeError) as caught:
        Path("~nosuchuser/w").expanduser()
    told = explain(caught.value)
    assert told.startswith("a path begins with ~ (~nosuchuser/w), and the system knows no such")
    assert explain(RuntimeError("home")) is None


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "No such file", "x"), ValueError("x"), OSError("x")]
)
def test_anything_else_is_a_bug(error):
    assert explain(error) is None


def test_error_is_found_behind_others():
    """mmengine's registries raise an error of the same type with a longer text."""
    try:
        try:
            raise OSError(errno.EROFS, "Read-only file system", "/data/w")
        except OSError as error:
            raise OSError(f"class `Hook` in module: {error}")  # noqa: B904
    except OSError as error:
        assert explain(error).startswith("'/data/w': Read-only file system")


@pytest.mark.parametrize("bug", [KeyError("bug"), IndexError("bug"), TypeError("bug")])
@pytest.mark.parametrize("hidden", [True, False])
def test_bug_beside_a_failure_of_the_machine_is_a_bug(bug, hidden):
    try:
        try:
            raise PermissionError(errno.EACCES, "Permission denied", "/etc/x")
        except PermissionError:
            if hidden:
                raise bug from None
            raise bug  # noqa: B904  (as a mistake in the handling would)
    except Exception as error:
        assert explain(error) is None


def test_full_disk_is_looked_for_where_the_error_names_no_file(monkeypatch, tmp_path):
    (tmp_path / "full").mkdir()
    full = str(tmp_path / "full")
    monkeypatch.setattr(
        os, "statvfs", lambda path: SimpleNamespace(f_bavail=0 if str(path) == full else 9)
    )
    monkeypatch.setattr(sys, "argv", ["train.py", "net.py", f"work_dir={full}/a/b"])
    told = explain(OSError(errno.ENOSPC, "No space left on device"))
    assert told.startswith(f"the disk of {full!r} is full: No space left")


def test_no_temporary_folder(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(FileNotFoundError) as caught:
        tempfile.TemporaryFile()
    told = explain(caught.value)
    assert "TMPDIR=/nowhere" in told and told.endswith("set TMPDIR to one")


def test_letters_that_the_locale_has_not(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    with pytest.raises(UnicodeEncodeError) as caught:
        "wé".encode("ascii")
    assert explain(caught.value).startswith("'wé' has letters that this locale has not (LC_ALL=C)")


class Numbers(torch.utils.data.Dataset):
    """A data set whose worker fails at the second item."""

    def __init__(self, fail):
        self.fail = fail

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index if index == 0 else self.fail()


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def no_more_files():
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (killed, r"worker \d+ of the data loader was ended from outside( \(Killed\))?, most often"),
        (no_more_files, r"Too many open files; allow more \(ulimit -n"),
    ],
)
def test_worker_of_a_data_loader(fail, said):
    batches = iter(DataLoader(Numbers(fail), num_workers=1))
    with pytest.raises((RuntimeError, OSError)) as caught:
        list(batches)
    told = explain(caught.value)
    assert re.search(said, told)
    # Garbage collection would wait 5 s for the worker.
    batches._shutdown_workers()


def test_socket_of_a_killed_worker(monkeypatch):
    """Its batches come through it, and which of two errors comes first is a matter of luck."""
    error = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert explain(error) is None
    monkeypatch.setattr(machine_errors, "_comes_from_loader", lambda error: True)
    assert explain(error).startswith("a worker of the data loader was ended from outside")


@pytest.mark.parametrize(
    "text",
    [
        "DataLoader worker (pid 1) is killed by signal: Bus error.",
        "Caught RuntimeError in DataLoader worker process 0.\nTraceback: \nRuntimeError: "
        "unable to allocate shared memory(shm) for file </torch_1>: No space left",
    ],
)
def test_shared_memory(text):
    told = explain(RuntimeError(text))
    assert "\n" not in told and "Traceback" not in told
    assert "--ipc=host" in told and "--shm-size" in told


def test_user_error_is_not_explained_twice():
    assert explain(UserError("no data")) is None
