"""The check of a GPU: the whole of it in small on the CPU, and what a broken part does to it."""

import importlib
import json
import os
import re
import sys
import time
from dataclasses import replace
from types import ModuleType

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


def test_everything_runs_on_a_cpu(run_tool, tmp_path):
    out = tmp_path / "out.json"
    result = run_tool(
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
        ("openmmlab", "nms"),
        ("openmmlab", "train mask_rcnn_r50_gcpm_small, 1 iterations with --amp"),
        ("openmmlab", "test resnet50_gcp_lrnorm_10_classes"),
        ("agreement", "right answers, GPU (CPU)"),
        ("agreement", "landscape, losses"),
    ):
        assert names[part, name]["status"] in ("PASS", "-"), name
    for row in found["rows"]:
        assert f"{row['status']:4}  {row['part']:11} {row['name']}" in result.stdout


def broken(settings, rows, seconds):
    rows.add("before", "PASS", "fine")
    os._exit(7)


def slow(settings, rows, seconds):
    rows.add("before", "PASS", "fine")
    time.sleep(600)


def healthy(settings, rows, seconds):
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


def absent(settings, rows, seconds):
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
