"""What a tool says and does when its work cannot be done."""

import os
import time

import pytest

from gcp_mm.engine import cli
from gcp_mm.errors import CheckpointNotFoundError, UserError


@pytest.fixture
def exits(monkeypatch):
    """Return the waits and the exit codes of a process that would end."""
    seen = []

    def leave(code):
        seen.append(code)
        raise SystemExit

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(time, "sleep", lambda seconds: seen.append(f"{seconds} s"))
    return seen


def fail(error):
    raise error


def test_result_is_passed_on(exits):
    assert cli.run(lambda: {"mAP": 0.5}) == {"mAP": 0.5}
    assert exits == []


@pytest.mark.parametrize("error", [UserError("no data"), CheckpointNotFoundError("no data")])
def test_user_error_becomes_a_message_and_an_exit_code(exits, capsys, monkeypatch, error):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(SystemExit):
        cli.run(lambda: fail(error))
    assert exits == [2]
    assert capsys.readouterr() == ("", "error: no data\n")


@pytest.mark.parametrize(("rank", "seen"), [("0", [2]), ("1", ["15 s", 2]), ("7", ["15 s", 2])])
def test_only_the_first_process_speaks_at_once(exits, monkeypatch, rank, seen):
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit):
        cli.run(lambda: fail(UserError("no data")))
    assert exits == seen


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError("a bug")])
def test_other_errors_keep_their_traceback(exits, error):
    with pytest.raises(type(error), match="a bug"):
        cli.run(lambda: fail(error))
    assert exits == []
