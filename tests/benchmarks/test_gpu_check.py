"""The check of a GPU: the whole of it in small on the CPU, and what a broken part does to it."""

import importlib
import json
import math
import os
import re
import sys
import time
from argparse import Namespace
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def settings(repo, tmp_path):
    from gpu_parts.settings import Settings

    return Settings("cpu", True, tmp_path, tmp_path / "rows.jsonl", tmp_path / "no bundle")


@pytest.fixture
def part(monkeypatch):
    """Make a part of a function, and give the check that runs it."""
    check = importlib.import_module("gpu_check")

    def make(name, function):
        module = ModuleType(f"part_{name}")
        module.run = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(check.PARTS, name, (300, module.__name__))

    make.check = check.check
    return make


def test_everything_runs_on_a_cpu(run_warm, tmp_path):
    out = tmp_path / "out.json"
    result = run_warm(
        *("benchmarks/gpu_check.py", "--device", "cpu", "--quick"),
        *("--bundle", tmp_path / "none", "--folder", tmp_path / "work", "--out", out),
        timeout=550,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(out.read_text())
    assert "FAIL" not in found["counts"]
    assert {"device", "torch", "cuda", "driver", "commit", "packages"} <= found["machine"].keys()
    names = {(row["part"], row["name"]): row for row in found["rows"]}
    assert {part for part, _ in names} == {
        *("machine", "operators", "layer", "step", "openmmlab", "agreement"),
    }
    for part, name in (
        ("operators", "test_streams_do_not_disturb_each_other, streams"),
        ("layer", "forward + backward, gram, AMP 3 x 3"),
        ("layer", "launches, gram, float32 3 x 3"),
        ("layer", "gram faster than plain, compiled, AMP 3 x 3"),
        ("step", "share of layer"),
        ("step", "overhead without the classifier"),
        ("openmmlab", "nms"),
        ("openmmlab", "train mask_rcnn_r50_gcpm_small, 1 iterations with --amp"),
        ("openmmlab", "test resnet50_gcp_lrnorm_10_classes"),
        ("agreement", "right answers, GPU (CPU)"),
        ("agreement", "landscape, losses"),
    ):
        assert names[part, name]["status"] in ("PASS", "-"), name
    for row in found["rows"]:
        assert f"{row['status']:4}  {row['part']:11} {row['name']}" in result.stdout


def broken(settings, rows, end):
    rows.add("before", "PASS", "fine")
    os._exit(7)


def slow(settings, rows, end):
    rows.add("before", "PASS", "fine")
    time.sleep(600)


def healthy(settings, rows, end):
    rows.number("size", 3, "cm", most=2)


@pytest.mark.process
def test_a_part_that_dies_or_hangs_stops_no_other(part, settings, capfd):
    for name, function in (("machine", broken), ("layer", slow), ("step", healthy)):
        part(name, function)
    found = part.check(settings, ["machine", "layer"], 2)  # seconds
    found += part.check(replace(settings, rows=settings.folder / "more"), ["step"], 60)
    assert [(row.part, row.name, row.status) for row in found] == [
        ("machine", "before", "PASS"),
        ("machine", "whole part", "FAIL"),
        ("layer", "before", "PASS"),
        ("layer", "whole part", "FAIL"),
        ("step", "size", "FAIL"),
    ]
    assert "exit code 7" in found[1].text and "stopped after" in found[3].text
    assert found[4].text == "3 cm; goal: at most 2"
    assert capfd.readouterr().out.count("\n") == 5


def absent(settings, rows, end):
    rows.add("GPU", "FAIL", "PyTorch sees none")


@pytest.mark.process
def test_without_a_gpu_nothing_else_is_tried(part, settings, monkeypatch):
    part("machine", absent)
    part("layer", healthy)
    saved = []
    # As on a GPU, but for the way in which a process is started.
    monkeypatch.setattr(type(settings), "forks", True)
    found = part.check(replace(settings, device="cuda"), ["machine", "layer"], 60, saved.append)
    assert [row.text for row in found] == ["PyTorch sees none"]
    assert len(saved) == 1


def tells_its_time(settings, rows, end):
    os.write(1, b"one\ntwo\n")  # pytest has another standard output
    rows.add("end", "FAIL", repr(end))


@pytest.mark.process
def test_parts_share_the_time_that_is_left_and_a_failure_has_its_log(part, settings, monkeypatch):
    part("machine", tells_its_time)
    part("layer", tells_its_time)
    monkeypatch.setitem(part.check.__globals__["PARTS"], "layer", (100, "part_layer"))
    start = time.monotonic()
    found = part.check(settings, ["machine", "layer"], 400)
    first, second = (float(row.text) - start for row in found)
    # A part ends 4 seconds before it would be stopped.
    assert 296 <= first < 300 and 396 <= second < 400
    assert [row.data["log"] for row in found] == [["one", "two"]] * 2


@pytest.mark.process
def test_jobs_are_told_of_as_they_end(tmp_path, monkeypatch):
    from gpu_parts import processes
    from gpu_parts.processes import Job, as_they_end

    passed = [0]  # seconds by which the clock is put forward
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(passed))
    monkeypatch.setattr(processes, "time", clock)

    def start(name, function, *arguments):
        return Job.start(name, True, tmp_path / name, function, *arguments)

    jobs = [start("hangs", time.sleep, 600), start("dies", os._exit, 3), start("ends", time.time)]
    found = {}
    for job, failure in as_they_end(jobs, clock.monotonic() + 300):
        found[job.name] = failure
        if found.keys() == {"dies", "ends", "follows"}:
            passed.append(300)
        if job.name == "ends":
            jobs.append(start("follows", time.time))
    assert list(found)[-1] == "hangs" and found.keys() == {"hangs", "dies", "ends", "follows"}
    assert found["ends"] is None and found["follows"] is None
    assert "exit code 3" in found["dies"] and "stopped after" in found["hangs"]


def test_what_raises_has_a_row_and_does_not_end_a_part(tmp_path):
    from gpu_parts.rows import Reader, Rows

    rows = Rows(tmp_path / "rows", "layer")
    rows.attempt("kernel", int, "illegal access")
    (row,) = Reader(rows.file).new()
    assert (row.name, row.status) == ("kernel", "FAIL")
    assert row.text.startswith("ValueError: ") and "illegal access" in row.data["log"][-1]


def test_without_git_the_commit_is_the_packed_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bundle.json").write_text('{"commit": "0123abc"}')
    assert importlib.import_module("gpu_check").commit(tmp_path) == "0123abc"
    assert importlib.import_module("gpu_bundle").commit() is None


def test_layers_that_fail_or_give_nan_are_not_timed():
    from setting import Setting

    args = dict(batch=2, channels=4, num_iters=2, dtype="float32", device="cpu")
    setting = Setting(Namespace(layout="contiguous", **args), 2)
    good = {"relu": [1e-7, 1e-7], "tiny": [1e-6, 1e-6]}
    assert setting.accurate("gram", good) and setting.accurate("peer", good)
    for bad in ("out of memory", [1e-7, math.nan], [1e-7, 1.0]):
        assert not setting.accurate("gram", good | {"tiny": bad})
        assert not setting.accurate("gram", good | {"relu": bad})
        assert not setting.accurate("peer", good | {"relu": bad})

    def unfit(x):
        raise LookupError("no kernel\nfor this")

    assert set(setting.errors(unfit).values()) == {"no kernel"}
    assert set(setting.exact) == set(setting.errors(unfit))


@pytest.mark.parametrize(
    ("goals", "status", "text"),
    [
        (dict(), "-", "2.5 ms"),
        (dict(most=3), "PASS", "2.5 ms; goal: at most 3"),
        (dict(most=2), "FAIL", "2.5 ms; goal: at most 2"),
        (dict(least=2), "PASS", "2.5 ms; goal: at least 2"),
        (dict(most=3, least=2), "PASS", "2.5 ms; goal: at most 3; goal: at least 2"),
    ],
)
def test_numbers_meet_their_goals(tmp_path, goals, status, text):
    from gpu_parts.rows import Reader, Rows

    Rows(tmp_path / "rows", "layer").number("time", 2.5, "ms", **goals)
    (row,) = Reader(tmp_path / "rows").new()
    assert (row.status, row.text, row.data["value"]) == (status, text, 2.5)


def test_reader_leaves_an_unfinished_line_for_later(tmp_path):
    from gpu_parts.rows import Reader, Rows

    file = tmp_path / "rows"
    reader = Reader(file)
    assert reader.new() == []
    Rows(file, "step").add("one", "PASS", "yes")
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    assert [row.name for row in reader.new()] == ["one"]
    file.write_bytes(whole + whole)
    assert [row.name for row in reader.new()] == ["one"]


def test_a_failed_test_has_a_row_of_its_own(settings):
    from gpu_parts.operator_tests import Collector
    from gpu_parts.rows import Reader, Rows

    collector = Collector(Rows(settings.rows, "operators"), "group")

    class Report:
        def __init__(self, test, outcome, when="call", longrepr=None):
            self.nodeid, self.when, self.duration = f"tests/test_it.py::{test}", when, 0.5
            self.longrepr = longrepr
            self.passed, self.failed, self.skipped = (
                outcome == each for each in ("passed", "failed", "skipped")
            )

    for report in (
        Report("test_one[a]", "passed"),
        Report("test_one[b]", "failed", longrepr="assert 1 == 2"),
        Report("test_two", "skipped", "setup", ("file", 3, "Skipped: no GPU")),
    ):
        collector.pytest_runtest_logreport(report)
    collector.pytest_sessionfinish()
    found = [(row.name, row.status, row.text) for row in Reader(settings.rows).new()]
    assert found == [
        ("test_it.py::test_one[b]", "FAIL", "assert 1 == 2"),
        ("test_one, group", "FAIL", "1 passed, 1 failed in 1.0 s"),
        ("test_two, group", "SKIP", "1 skipped in 0.5 s: Skipped: no GPU"),
    ]


def test_every_test_of_the_operators_belongs_to_a_group(repo):
    """What has groups of its own is left out of the last, and each precision is named."""
    from gpu_parts.operator_tests import GROUPS

    *groups, (folder, *left_out) = GROUPS.values()
    apart = {path for path, *_ in groups}
    assert folder == "tests/ops" and {f"--ignore={path}" for path in apart} == set(left_out)
    agreement = "tests/ops/test_agreement.py"
    asked_for = " ".join(words[-1] for words in groups if words[0] == agreement)
    precisions = re.findall(r'"(\w+)": Precision\(', (repo / agreement).read_text())
    assert set(asked_for.split()) - {"and", "or", "not"} == set(precisions)
