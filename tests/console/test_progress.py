"""Bars of long work, on the error output of one process."""

import re

import pytest

from gcp_mm.console import progress
from gcp_mm.console.progress import Progress, Stages, if_long


class Clock:
    """Stands in for the time of this module and of mmengine's timer."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.setattr("mmengine.utils.timer.time", clock)
    return clock


def states(capsys):
    """Return what a terminal showed one after another, without the bars."""
    output, errors = capsys.readouterr()
    assert output == ""
    return [re.sub(r"\[[> ]*\] ", "", state).strip() for state in errors.split("\r")]


def test_time_left_follows_from_the_rate(clock, capsys):
    with Progress(40, "reading") as bar:
        for _ in range(4):
            clock.now += 6
            bar.update(5)
    assert states(capsys) == [
        "reading:\n0/40, elapsed: 0s, ETA:",
        "5/40, 0.8 task/s, elapsed: 6s, ETA:    42s",
        "10/40, 0.8 task/s, elapsed: 12s, ETA:    36s",
        "15/40, 0.8 task/s, elapsed: 18s, ETA:    30s",
        "20/40, 0.8 task/s, elapsed: 24s, ETA:    24s",
    ]


def test_a_file_gets_few_states_and_always_the_last(clock, capsys):
    with Progress(1000) as bar:
        for _ in range(1000):
            clock.now += 1 / 64
            bar.update()
    counts = [int(state.partition("/")[0]) for state in states(capsys)]
    assert counts == [0, 1, 321, 641, 961, 1000]


def test_interrupted_work_ends_its_line(clock, capsys):
    with pytest.raises(ValueError, match="bad"), Progress(9) as bar:
        for _ in range(3):
            bar.update()
        raise ValueError("bad")
    errors = capsys.readouterr().err
    assert "] 3/9, " in errors.split("\r")[-1] and errors.endswith("s\n")


def test_unknown_number_is_counted_in_place(clock, capsys):
    with Progress(None, "eigenvalues") as bar:
        for _ in range(2):
            clock.now += 10
            bar.update()
    assert states(capsys) == [
        "eigenvalues:\ncompleted: 0, elapsed: 0s",
        "completed: 1, elapsed: 10s, 0.1 tasks/s",
        "completed: 2, elapsed: 20s, 0.1 tasks/s",
    ]


def test_short_work_is_silent_and_long_work_counts_from_its_beginning(clock, capsys):
    with if_long(10, "listing") as bar:
        for _ in range(10):
            clock.now += 0.2
            bar.update()
    assert capsys.readouterr() == ("", "")
    with if_long(10, "listing") as bar:
        for _ in range(5):
            clock.now += 2
            bar.update()
    assert states(capsys)[1:] == [
        # Two steps in four seconds, and the first state after the patience.
        "2/10, 0.5 task/s, elapsed: 4s, ETA:    16s",
        "5/10, 0.5 task/s, elapsed: 10s, ETA:    10s",
    ]


@pytest.mark.parametrize("reason", ["other process", "worker of a loader", "nothing to do"])
def test_others_are_silent(monkeypatch, capsys, reason):
    monkeypatch.setattr(progress, "get_rank", lambda: int(reason == "other process"))
    worker = object() if reason == "worker of a loader" else None
    monkeypatch.setattr(progress, "get_worker_info", lambda: worker)
    with Progress(0 if reason == "nothing to do" else 3, "reading") as bar:
        bar.update(3)
        bar.say("snow/5: error 10 %")
    assert capsys.readouterr() == ("", "")


def test_lines_stand_beside_the_bar(clock, capsys):
    with Progress(2) as bar:
        bar.update()
        bar.say("snow/5: error 10 %")
        bar.update()
    output, errors = capsys.readouterr()
    assert output == "snow/5: error 10 %\n" and errors.count("\n") == 2


def test_stages_have_a_bar_each(clock, capsys):
    with Stages({"trace": "trace, in batches"}) as stages:
        for stage, total in (("trace", 2), ("density", None)):
            for done in range(3):
                stages(stage, done, total)
                clock.now += 5
    *lines, rest = capsys.readouterr().err.split("\n")
    assert lines[0] == "trace, in batches:" and lines[2] == "density:"
    assert rest == "" and len(lines) == 4
    assert "] 2/2, " in lines[1] and lines[3].endswith("completed: 2, elapsed: 10s, 0.2 tasks/s")
