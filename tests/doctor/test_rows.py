"""Parts of the self-check that need no stack to look at."""

import platform

import pytest

from gcp_mm.doctor import check, conflicts, machine, packages, report


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.9.2", "FAIL"), ("3.10.0", "ok"), ("3.12.9", "ok"), ("3.13.0", "warn"), ("3.14.0", "FAIL")],
)
def test_python_versions(monkeypatch, version, status):
    monkeypatch.setattr(platform, "python_version", lambda: version)
    assert packages.PROBES[0].run().status == status


def test_table_names_every_row_once():
    probes = (*packages.PROBES, *machine.PROBES, *conflicts.PROBES)
    names = [probe.name for probe in probes]
    assert len(set(names)) == len(names)
    rows = [check.Check("a", "1"), check.Check("bb", "", check.FAIL, "do it", blocking=False)]
    assert report.format_table(rows).splitlines()[:3] == [
        "ok    a   1",
        "FAIL  bb",
        "          -> do it",
    ]


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.13.0+cu130", (2, 13, 0)), ("3.0.0rc4", (3, 0, 0)), ("4", (4,)), ("unknown", ())],
)
def test_release(version, numbers):
    assert check.release(version) == numbers


def test_compiled_operators_of_the_real_mmcv():
    pytest.importorskip("mmcv.ops", reason="mmcv with compiled operators is not installed")
    assert machine.PROBES[0].run().status == "ok"
