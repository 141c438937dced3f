"""Files are complete or as they were, held by one process, and told apart."""

import errno
import fcntl
import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gcp_mm import files
from gcp_mm.errors import FileHeldError, FileWriteError, UserError
from gcp_mm.files import (
    abbreviate,
    atomic_open,
    atomic_write,
    hold_file,
    hold_folder,
    path_below,
    sha256,
)

KILL_AT = Path(__file__).with_name("kill_at.py")
WRITE = "import sys; from gcp_mm.files import atomic_write; atomic_write(sys.argv[1], b'new')"
# Each writes files of one letter.
WRITE_OFTEN = """
import sys
from gcp_mm.files import atomic_write
for _ in range(150):
    atomic_write(sys.argv[1], sys.argv[2] * 100_000)
"""
HOLD = """
import os, signal, sys, time
from gcp_mm.files import hold_folder
with hold_folder(sys.argv[1], "is in use", "choose another"):
    if sys.argv[2:] and os.fork() == 0:
        time.sleep(600)
    print("held", flush=True)
    time.sleep(600)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "folder" / "out.json"
    path.parent.mkdir()
    path.write_text("old")
    return path


@pytest.fixture
def python(tool_env):
    """Start a program, given as text; it is killed at the end."""
    started = []

    def start(text, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", text, *map(str, arguments)],
            env=tool_env,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("content", [b"new", "new"])
def test_new_file_is_alone(target, content):
    assert atomic_write(target, content) == target
    assert target.read_text() == "new"
    assert names(target.parent) == ["out.json"]


def test_folders_are_made(tmp_path):
    assert atomic_write(tmp_path / "a/b/c", b"new").read_bytes() == b"new"


def test_error_within_the_block_leaves_the_old_file_alone(target):
    with pytest.raises(ZeroDivisionError), atomic_open(target) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert target.read_text() == "old" and names(target.parent) == ["out.json"]


def test_full_disk_leaves_the_old_file_alone(target, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileWriteError) as caught:
        atomic_write(target, b"new", "result file")
    assert str(caught.value) == (
        f"result file {str(target)!r} cannot be written: No space left on device; free some space "
        "and start again"
    )
    assert isinstance(caught.value, UserError) and caught.value.errno == errno.ENOSPC
    assert target.read_text() == "old" and names(target.parent) == ["out.json"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_mode_is_that_of_an_ordinary_file(target, umask):
    before = os.umask(umask)
    try:
        atomic_write(target.with_name("new"), b"")
        target.with_name("ordinary").write_bytes(b"")
    finally:
        os.umask(before)
    assert target.with_name("new").stat().st_mode == target.with_name("ordinary").stat().st_mode
    target.chmod(0o640)
    atomic_write(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_link_is_replaced_and_what_it_names_is_kept(target):
    link = target.with_name("link")
    link.symlink_to(target)
    atomic_write(link, b"new")
    assert not link.is_symlink() and target.read_text() == "old"


def test_device_is_written_to(target):
    link = target.with_name("null")
    link.symlink_to("/dev/null")
    atomic_write(link, b"new")
    assert stat.S_ISCHR(link.stat().st_mode) and names(target.parent) == ["null", "out.json"]


def test_folder_is_no_file(target):
    with pytest.raises(FileWriteError, match="Is a directory; name a file in it"):
        atomic_write(target.parent, b"new")
    with pytest.raises(FileWriteError, match="a part of the path is a file"):
        atomic_write(target / "below", b"new")


@pytest.mark.parametrize("length", [230, 231, 255])
def test_name_may_be_as_long_as_the_system_allows(tmp_path, length):
    atomic_write(tmp_path / ("n" * length), b"new")
    assert names(tmp_path) == ["n" * length]


@pytest.mark.parametrize("event", [1, 2])
def test_kill_keeps_the_old_file_and_leaves_nothing_for_long(target, tmp_path, run_tool, event):
    program = tmp_path / "write.py"
    program.write_text(WRITE)
    process = run_tool(KILL_AT, event, target.parent, program, target)
    assert process.returncode == -signal.SIGKILL, process.stderr
    # Killed before it opened its file, and before it renamed it.
    assert names(target.parent) == [[], [".out.json.part"]][event - 1] + ["out.json"]
    assert target.read_text() == "old"
    atomic_write(target, b"newer")
    assert target.read_text() == "newer" and names(target.parent) == ["out.json"]


def test_writers_at_the_same_time_have_a_file_each(target):
    with atomic_open(target) as first, atomic_open(target) as second:
        first.write(b"first")
        second.write(b"second")
        assert names(target.parent) == [".out.json.1.part", ".out.json.part", "out.json"]
    # The block of the first one ended last.
    assert target.read_text() == "first" and names(target.parent) == ["out.json"]


def test_no_reader_sees_a_torn_file(target, python):
    target.write_text("x" * 100_000)
    writers = [python(WRITE_OFTEN, target, letter) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        text = target.read_text()
        assert len(text) == 100_000 and text == text[0] * 100_000
        seen.add(text[0])
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert names(target.parent) == ["out.json"]
    assert seen & set("abc")


def without_locks(monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_file_system_without_locks(target, monkeypatch):
    without_locks(monkeypatch)
    target.with_name(".out.json.part").write_text("of somebody else")
    atomic_write(target, b"new")
    assert target.read_text() == "new"
    assert target.with_name(".out.json.part").read_text() == "of somebody else"


def test_holder_is_named_until_it_is_killed(tmp_path, python):
    process = python(HOLD, tmp_path)
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


def test_child_that_outlives_a_killed_holder_blocks_nobody(tmp_path, python):
    process = python(HOLD, tmp_path, "fork")
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
def test_without_locks_of_the_system_the_holder_is_asked_for(tmp_path, monkeypatch, holder):
    without_locks(monkeypatch)
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


@pytest.mark.parametrize("name", ["a", "a b/ü.jpg", "..a/b..", "a/b/c.npz"])
def test_names_of_files_may_have_folders(tmp_path, name):
    assert path_below(tmp_path, name, "here") == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/x",
        "..",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/",
        "..\\x",
        "a\\..\\x",
        "C:x",
        "a\0",
        7,
    ],
)
def test_names_of_files_do_not_lead_out(tmp_path, name):
    with pytest.raises(UserError, match=r"^'ann\.json': the name .* does not lie below a folder"):
        path_below(tmp_path, name, "'ann.json'")


def test_digest_of_a_file(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, ""), (1, "n0"), (4, "n0, n1, n2, n3"), (6, "n0, n1, n2, n3 and 2 more")],
)
def test_long_lists_are_shortened(number, text):
    assert abbreviate(f"n{index}" for index in range(number)) == text


def test_nothing_heavy_is_imported(run_tool):
    text = "import sys, gcp_mm.files; print({'torch', 'numpy', 'mmengine'} & set(sys.modules))"
    assert run_tool("-c", text).stdout == "set()\n"


def test_file_system_whose_numbers_differ_is_no_endless_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_is_at", lambda descriptor, path: False)
    (tmp_path / ".a.txt.part").write_text("left by a writer that was killed")
    atomic_write(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    with hold_folder(tmp_path, "is held", "wait"):
        with pytest.raises(FileHeldError, match="is held by process"):
            hold_folder(tmp_path, "is held", "wait").acquire()
