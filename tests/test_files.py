"""Files are complete or as they were, and told apart."""

import errno
import hashlib
import os
import signal
import stat
from pathlib import Path

import pytest

from gcp_mm import files
from gcp_mm.errors import FileWriteError, UserError
from gcp_mm.files import (
    abbreviate,
    atomic_open,
    atomic_write,
    path_below,
    sha256,
    why_absent,
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


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "folder" / "out.json"
    path.parent.mkdir()
    path.write_text("old")
    return path


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


def test_no_reader_sees_a_torn_file(target, start_python):
    target.write_text("x" * 100_000)
    writers = [start_python(WRITE_OFTEN, target, letter) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        text = target.read_text()
        assert len(text) == 100_000 and text == text[0] * 100_000
        seen.add(text[0])
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert names(target.parent) == ["out.json"]
    assert seen & set("abc")


def test_file_system_without_locks(target, without_locks):
    target.with_name(".out.json.part").write_text("of somebody else")
    atomic_write(target, b"new")
    assert target.read_text() == "new"
    assert target.with_name(".out.json.part").read_text() == "of somebody else"


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
    monkeypatch.setattr(files, "is_at", lambda descriptor, path: False)
    (tmp_path / ".a.txt.part").write_text("left by a writer that was killed")
    atomic_write(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_why_there_is_nothing_at_a_path(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to("/no/disk")
    (tmp_path / "file").write_text("")
    told = {
        "absent/x": "does not exist",
        "loop": "is a loop of links",
        "loop/train": "is a loop of links",
        "gone": f"leads to nothing: {str(tmp_path / 'gone')!r} is a link to '/no/disk'",
        "gone/train/x.png": f"leads to nothing: {str(tmp_path / 'gone')!r} is a link to '/no/disk'",
        "file/x": f"cannot be there: {str(tmp_path / 'file')!r} is a file",
        "x" * 300: "is no folder: the name is too long",
        "a\0b": "is no name of a folder",
        "file": "is no folder",
    }
    for name, said in told.items():
        assert why_absent(tmp_path / name, "folder").startswith(said), name


@pytest.mark.parametrize("wanted", ["file", "folder", "file or folder"])
def test_sign_of_the_home_folder_that_nothing_expands(tmp_path, monkeypatch, wanted):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("folder", "file"):
        expected = f"is no {wanted}"
        if name in wanted.split():
            path = str(tmp_path / name)
            expected = f"does not exist: ~ is the home folder to a shell alone; write {path!r}"
        assert why_absent(f"~/{name}", wanted) == expected
    assert why_absent("~/absent", wanted) == "does not exist"


def test_why_a_path_below_a_closed_folder_is_not_looked_at(tmp_path, monkeypatch):
    """Rights do not stop the user root, so the system's answer is put in."""

    def deny(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", deny)
    assert why_absent(tmp_path / "x") == (
        "cannot be looked at: permission denied in one of its folders"
    )
