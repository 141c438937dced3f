"""The marks of the tests, and what the workers share."""

import gc
import multiprocessing
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import suite

from gcp_mm.engine.runner import train


class Machine:
    def start(self):
        return helper()


def helper():
    return [subprocess.run(["true"], check=True) for _ in range(1)]


def at_the_end(factory):
    return lambda: multiprocessing.get_context("spawn")


def trains(config):
    return train(config)


def by_the_tool(call_tool):
    return call_tool("tools/train.py", "--help")


def with_its_name_in_a_tuple():
    return ("tools/train.py", "net.py")


def quick(tmp_path):
    """Evaluates tools/test.py, and names subprocess in its text only."""
    return tmp_path / "subprocess"


def kinds(function, *fixtures):
    found = {fixture.__name__: [SimpleNamespace(func=fixture)] for fixture in fixtures}
    item = SimpleNamespace(function=function, _fixtureinfo=SimpleNamespace(name2fixturedefs=found))
    return set(suite._kinds(item))


@pytest.mark.parametrize("available", [False, True])
def test_without_a_gpu_its_tests_are_skipped_with_the_reason(monkeypatch, available):
    monkeypatch.setattr(suite.torch.cuda, "is_available", lambda: available)
    added = {"gpu": [], "": []}
    items = [
        SimpleNamespace(
            nodeid=f"a.py::test_{mark}",
            get_closest_marker=lambda name, mark=mark: name == mark or None,
            add_marker=marks.append,
        )
        for mark, marks in added.items()
    ]
    suite.pytest_collection_modifyitems(SimpleNamespace(getoption={"one_case": False}.get), items)
    expected = [] if available else [{"reason": suite.NO_GPU}]
    assert [mark.kwargs for mark in added["gpu"]] == expected
    assert added[""] == []


def test_one_case_of_each_test_is_left():
    names = ["a.py::one[2]", "a.py::two", "a.py::one[1]", "b.py::one[x[0]]", "b.py::one[y]"]
    items = [SimpleNamespace(nodeid=name) for name in names]
    found = [item.nodeid for item in suite.one_case(items)]
    assert found == ["a.py::one[2]", "a.py::two", "b.py::one[x[0]]"]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_files_of_long_tests_come_first_in_each_share(workers):
    marks = {"a.py::x": "slow", "c.py::y[1]": "process", "c.py::y[2]": "process", "e.py::x": "gpu"}
    names = [f"{file}.py::{name}" for file in "fabcde" for name in ("z", "x", "y[1]", "y[2]")]
    items = [
        SimpleNamespace(
            nodeid=name,
            get_closest_marker=lambda mark, name=name: marks.get(name) == mark or None,
        )
        for name in names
    ]
    found = [item.nodeid for item in suite.long_files_first(items, workers)]
    long = [name for name in names if name[0] in "ac"]
    short = [name for name in names if name not in long]
    # Whole files, for one worker and for two; both groups keep their order, that of the seed.
    if workers == 1:
        assert found == long + short
    if workers == 2:
        assert found == long[:4] + short[:8] + long[4:] + short[8:]
    assert sorted(found) == sorted(names)
    assert [name for name in found if name in long] == long
    assert [name for name in found if name in short] == short


def test_the_site_is_looked_at_first_and_by_one_worker():
    names = [f"{file}.py::{name}" for file in "abcd" for name in "xy"]
    items = [
        SimpleNamespace(
            nodeid=name,
            get_closest_marker=lambda mark, name=name: (name[0] != "c" and mark == "slow") or None,
            fixturenames=["site"] if name in ("b.py::y", "d.py::x") else ["repo"],
        )
        for name in names
    ]
    found = [item.nodeid for item in suite.long_files_first(items, 2)]
    assert found[:3] == ["b.py::y", "d.py::x", "a.py::x"] and found[-2:] == ["d.py::y", "c.py::y"]
    assert sorted(found) == names


def test_marks_follow_from_what_a_test_and_its_fixtures_name():
    def machine():
        return Machine()

    assert kinds(quick) == set()
    assert kinds(helper) == kinds(machine) == kinds(at_the_end) == {"process"}
    assert kinds(trains) == kinds(by_the_tool) == kinds(with_its_name_in_a_tuple) == {"training"}
    assert kinds(quick, quick, machine) == {"process"}
    assert kinds(quick, by_the_tool, helper) == {"process", "training"}


def test_a_quick_test_starts_no_program_and_trains_nothing(monkeypatch):
    marks = []
    item = SimpleNamespace(get_closest_marker=lambda name: name in marks)
    monkeypatch.setattr(suite, "_current", [item])
    with pytest.raises(AssertionError, match="true is started in a test that is not marked"):
        subprocess.run(["true"], check=True)
    with pytest.raises(AssertionError, match="a network is trained"):
        suite._require("training", "a network is trained")
    marks.append("process")
    assert subprocess.run(["true"], check=True).returncode == 0


def test_what_the_workers_share_is_made_once(tmp_path, monkeypatch):
    made = []

    def make():
        made.append(os.getpid())
        return tmp_path / f"{len(made)}"

    found = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        base = tmp_path / f"popen-{worker}"
        base.mkdir()
        found.append(suite.made_once(SimpleNamespace(getbasetemp=lambda b=base: b), "x", make))
    # A test that runs pytest has the variable, and a folder of its own.
    base = tmp_path / "pytest-1"
    base.mkdir()
    found.append(suite.made_once(SimpleNamespace(getbasetemp=lambda: base), "x", make))
    assert found == [tmp_path / "1", tmp_path / "1", tmp_path / "2"]


def test_workers_are_no_more_than_cores_and_memory_hold(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(suite, "WORKER_BYTES", 1)
    assert suite.pytest_xdist_auto_num_workers() == 3
    monkeypatch.setattr(suite, "WORKER_BYTES", 2**60)
    assert suite.pytest_xdist_auto_num_workers() == (1 if Path("/proc/meminfo").is_file() else 3)


@pytest.mark.parametrize(("seconds", "froze"), [(0.0, False), (1.0, True)])
def test_collector_passes_by_what_is_left_once_it_takes_long(monkeypatch, seconds, froze):
    left = [[]]
    monkeypatch.setitem(suite._collection, "seconds", seconds)
    before = gc.get_freeze_count()
    suite._pass_by_what_stays()
    assert (gc.get_freeze_count() > before) == froze
    assert any(known is left for known in gc.get_objects()) != froze
    assert suite._collection["seconds"] < suite.LONG_COLLECTION


def test_seconds_of_a_collection_are_those_of_the_last_one(monkeypatch):
    monkeypatch.setitem(suite._collection, "seconds", 1e9)
    gc.collect()
    assert 0 < suite._collection["seconds"] < 1e9
