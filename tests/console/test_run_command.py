"""What a tool says and does when its work cannot be done."""

import errno
import os
import subprocess
import sys
import time

import pytest
from torch.utils.data import DataLoader

from gcp_mm.console.run_command import run_command
from gcp_mm.errors import CheckpointNotFoundError, UserError


@pytest.fixture
def exits(monkeypatch):
    """Return the waits and the exit codes of a process that would end."""
    seen = []
    test, end = os.getpid(), os._exit

    def leave(code):
        if os.getpid() != test:
            # A worker of a data loader, forked from the test.
            end(code)
        seen.append(code)
        raise SystemExit

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(time, "sleep", lambda seconds: seen.append(f"{seconds} s"))
    return seen


def fail(error):
    raise error


def test_result_is_passed_on(exits):
    assert run_command(lambda: {"mAP": 0.5}) == {"mAP": 0.5}
    assert exits == []


@pytest.mark.parametrize("error", [UserError("no data"), CheckpointNotFoundError("no data")])
def test_user_error_becomes_a_message_and_an_exit_code(exits, capsys, monkeypatch, error):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(SystemExit):
        run_command(lambda: fail(error))
    assert exits == [2]
    assert capsys.readouterr() == ("", "error: no data\n")


@pytest.mark.parametrize(("rank", "seen"), [("0", [2]), ("1", ["15 s", 2]), ("7", ["15 s", 2])])
def test_only_the_first_process_speaks_at_once(exits, monkeypatch, rank, seen):
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit):
        run_command(lambda: fail(UserError("no data")))
    assert exits == seen


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError("a bug")])
def test_other_errors_keep_their_traceback(exits, error):
    with pytest.raises(type(error), match="a bug"):
        run_command(lambda: fail(error))
    assert exits == []


class Unreadable:
    """A data set whose workers fail."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        try:
            raise UserError("the cause")
        except UserError as cause:
            raise self.error from cause


def first_batch(error):
    """Return what a data loader with a worker gives."""
    batches = iter(DataLoader(Unreadable(error), num_workers=1))
    try:
        return next(batches)
    finally:
        # Garbage collection would wait 5 s for the worker.
        batches._shutdown_workers()


@pytest.mark.parametrize(
    ("kind", "message"),
    [(UserError, "'a.JPEG' cannot be read"), (CheckpointNotFoundError, "two\nlines: of text")],
)
def test_error_of_a_worker_is_printed_without_its_traceback(
    exits, capsys, monkeypatch, kind, message
):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(SystemExit):
        run_command(lambda: first_batch(kind(message)))
    assert exits[-1] == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")


def test_bug_in_a_worker_keeps_its_traceback(exits):
    with pytest.raises(ValueError, match="(?s)Traceback.*ValueError: a bug"):
        run_command(lambda: first_batch(ValueError("a bug")))


def test_failure_of_the_machine_becomes_a_message(exits, capsys, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    error = OSError(errno.EROFS, "Read-only file system", "w")
    with pytest.raises(SystemExit):
        run_command(lambda: fail(error))
    assert exits == [2]
    said = "error: 'w': Read-only file system; choose a folder that can be written to\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(("rank", "said"), [("0", "interrupted\n"), ("1", "")])
def test_interruption_ends_with_the_code_of_a_shell(exits, capsys, monkeypatch, rank, said):
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit):
        run_command(lambda: fail(KeyboardInterrupt()))
    assert exits == [130]
    assert capsys.readouterr() == ("", said)


def test_output_that_nobody_reads_ends_with_the_code_of_a_shell(exits, capsys):
    with pytest.raises(SystemExit):
        run_command(lambda: fail(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert exits == [141]
    assert capsys.readouterr().err.splitlines() == [
        "error: nobody reads the output any more (broken pipe)"
    ]


def test_name_that_is_no_text_is_printed(tmp_path):
    """A file name of other bytes than UTF-8 comes as half of a surrogate pair."""
    code = (
        r"from gcp_mm.console.run_command import run_command; run_command(lambda: print('\udce9'))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output == rb"\udce9" + b"\n"
