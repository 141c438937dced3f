"""A file or a folder is held by one process, until it ends in whatever way."""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gcp_mm import locks
from gcp_mm.errors import FileHeldError, FileWriteError
from gcp_mm.locks import hold_file, hold_folder

HOLD = """
import os, signal, sys, time
from gcp_mm.locks import hold_folder
with hold_folder(sys.argv[1], "is in use", "choose another"):
    if sys.argv[2:] and os.fork() == 0:
        time.sleep(600)
    print("held", flush=True)
    time.sleep(600)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_holder_is_named_until_it_is_killed(tmp_path, start_python):
    process = start_python(HOLD, tmp_path)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(FileHeldError) as caught:
        hold_folder(tmp_path, "is in use", "choose another").acquire()
    assert re.fullmatch(
        rf"{str(tmp_path)!r} is in use by process {process.pid} on \S+ since "
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \(-c {tmp_path}\): choose another",
        str(caught.value),
    )
    process.kill()
    process.wait()
    assert names(tmp_path) == [".lock"]
    with hold_folder(tmp_path, "is in use", "choose another"):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()
    assert names(tmp_path) == []


def test_child_that_outlives_a_killed_holder_blocks_nobody(tmp_path, start_python):
    process = start_python(HOLD, tmp_path, "fork")
    assert process.stdout.readline() == b"held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        # The child may not have closed its copy yet: it does so before it runs on.
        end = time.monotonic() + 20
        while True:
            try:
                hold_folder(tmp_path, "is in use", "choose another").acquire().release()
                break
            except FileHeldError:
                assert time.monotonic() < end
                time.sleep(0.05)
        os.killpg(process.pid, 0)  # it is alive
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_lock_of_a_file_lies_beside_it_and_is_removed_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_file(tmp_path / "new" / "a", "is written", "wait"):
        assert names(tmp_path / "new") == [".a.lock"]
        raise ZeroDivisionError
    assert names(tmp_path / "new") == []


def test_lock_is_not_taken_twice_by_a_process(tmp_path):
    first = hold_file(tmp_path / "a", "is written", "wait").acquire()
    with pytest.raises(FileHeldError, match=f"process {os.getpid()} "):
        hold_file(tmp_path / "a", "is written", "wait").acquire()
    first.release()
    first.release()
    hold_file(tmp_path / "a", "is written", "wait").acquire().release()


def test_holder_that_is_no_text_is_not_printed(tmp_path):
    with hold_file(tmp_path / "a", "is written", "wait"):
        (tmp_path / ".a.lock").write_bytes(b"\x1b[2J\nprocess \xff")
        with pytest.raises(FileHeldError, match=r"is written by \[2Jprocess .: wait$"):
            hold_file(tmp_path / "a", "is written", "wait").acquire()


def test_command_line_of_the_holder_need_not_be_text(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", os.fsdecode(b"caf\xe9.py")])
    with hold_file(tmp_path / "a", "is written", "wait"):
        with pytest.raises(FileHeldError, match=r"\(train\.py 'caf.\.py'\): wait$"):
            hold_file(tmp_path / "a", "is written", "wait").acquire()


def test_lock_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileWriteError, match=r"file/\.lock' cannot be written: "):
        hold_folder(tmp_path / "file", "is in use", "wait").acquire()


@pytest.mark.parametrize("holder", ["dead", "alive", "elsewhere", "unknown"])
def test_without_locks_of_the_system_the_holder_is_asked_for(tmp_path, without_locks, holder):
    lock = hold_file(tmp_path / "a", "is written", "wait")
    lock.acquire()
    text = (tmp_path / ".a.lock").read_text()
    lock.release()
    assert names(tmp_path) == []
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    texts = {
        "dead": text.replace(f"process {os.getpid()} ", f"process {ended.pid} "),
        "alive": text,
        "elsewhere": text.replace(f"process {os.getpid()} on ", f"process {ended.pid} on x"),
        "unknown": "",
    }
    (tmp_path / ".a.lock").write_text(texts[holder])
    if holder == "dead":
        hold_file(tmp_path / "a", "is written", "wait").acquire().release()
        assert names(tmp_path) == []
    else:
        with pytest.raises(FileHeldError, match=r"If that process is gone, delete '.*\.a\.lock'$"):
            hold_file(tmp_path / "a", "is written", "wait").acquire()


@pytest.fixture
def left_by_another_user(tmp_path, monkeypatch):
    """Return a lock that another user left, which may be read, but not written."""
    lock = tmp_path / ".lock"
    lock.write_text("process 1 on elsewhere since 2020-01-01 00:00:00 (train.py)")
    real, inode = os.open, lock.stat().st_ino

    def refuse(path, flags, *mode, **options):
        existing = Path(path) == lock and lock.exists() and lock.stat().st_ino == inode
        if existing and flags & os.O_RDWR and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refuse)
    return lock


def test_lock_that_another_user_left_blocks_nobody(left_by_another_user, tmp_path):
    with hold_folder(tmp_path, "is in use", "choose another"):
        assert f"process {os.getpid()} " in left_by_another_user.read_text()
    assert names(tmp_path) == []


def test_lock_that_another_user_holds_is_respected(left_by_another_user, tmp_path):
    with left_by_another_user.open() as held:
        assert locks.try_lock(held.fileno())
        with pytest.raises(FileHeldError, match=r"is in use by process 1 on elsewhere .*another$"):
            hold_folder(tmp_path, "is in use", "choose another").acquire()
    assert left_by_another_user.exists()


def test_lock_of_another_user_that_stays_says_whom_to_ask(
    left_by_another_user, tmp_path, monkeypatch
):
    def refuse(path):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(FileHeldError, match="belongs to another user .* have it deleted, or"):
        hold_folder(tmp_path, "is in use", "choose another").acquire()


def test_lock_that_cannot_be_read_keeps_the_error_of_the_system(tmp_path, monkeypatch):
    lock, real = tmp_path / ".lock", os.open
    lock.touch()

    def refuse(path, flags, *mode, **options):
        if Path(path) == lock and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, f"denied for {flags & os.O_ACCMODE}", path)
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileHeldError, match="belongs to another user") as caught:
        hold_folder(tmp_path, "is in use", "choose another").acquire()
    assert isinstance(caught.value.__cause__, PermissionError)
    assert caught.value.__cause__.strerror == f"denied for {os.O_RDONLY}"


AS_NOBODY = """
import os, sys
from gcp_mm.errors import FileHeldError
from gcp_mm.locks import hold_folder
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    with hold_folder(sys.argv[1], "is in use", "choose another"):
        print("held")
except FileHeldError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize(
    ("folder", "file", "said"),
    [
        (0o777, 0o644, "held\n"),
        (0o1777, 0o644, "belongs to another user"),
        (0o777, 0o600, "belongs to another user"),
    ],
)
def test_another_user_takes_over_what_the_rights_allow(run_tool, folder, file, said):
    with tempfile.TemporaryDirectory() as name:  # others may not look into tmp_path
        Path(name).chmod(folder)
        lock = Path(name) / ".lock"
        lock.touch()
        lock.chmod(file)
        assert said in run_tool("-c", AS_NOBODY, name).stdout
        assert lock.exists() == (said != "held\n")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF])
def test_answers_of_file_systems_without_locks(tmp_path, monkeypatch, code):
    """NFS without its lock daemon, and NFS for a file that is open to read alone."""

    def refuse(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with hold_folder(tmp_path, "is in use", "wait"):
        with pytest.raises(FileHeldError, match=f"by process {os.getpid()} .*If that process"):
            hold_folder(tmp_path, "is in use", "wait").acquire()
    assert names(tmp_path) == []


def test_file_system_whose_numbers_differ_is_no_endless_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "is_at", lambda descriptor, path: False)
    with hold_folder(tmp_path, "is held", "wait"):
        with pytest.raises(FileHeldError, match="is held by process"):
            hold_folder(tmp_path, "is held", "wait").acquire()
