"""A file or a folder is held by one process, until it ends in whatever way."""

import os
import re
import signal
import subprocess
import sys
import time

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


def test_file_system_whose_numbers_differ_is_no_endless_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "is_at", lambda descriptor, path: False)
    with hold_folder(tmp_path, "is held", "wait"):
        with pytest.raises(FileHeldError, match="is held by process"):
            hold_folder(tmp_path, "is held", "wait").acquire()
