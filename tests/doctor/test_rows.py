"""Parts of the self-check that need no stack to look at."""

import platform
import re

import pytest

from gcp_mm.doctor import check, conflicts, machine, packages, report


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.9.2", "FAIL"), ("3.10.0", "ok"), ("3.13.5", "ok"), ("3.14.2", "ok"), ("3.15.0", "warn")],
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


def test_operators_of_the_real_stack():
    pytest.importorskip("mmcv.ops", reason="mmcv has no operators here")
    probes = {probe.name: probe for probe in machine.PROBES}
    for name in ("mmcv operators", "mmcv ops, CPU"):
        assert probes[name].run().status in ("ok", "warn")


def test_python_begins_where_the_package_does(repo):
    text = (repo / "pyproject.toml").read_text()
    oldest = re.search(r'^requires-python = ">=([0-9.]+)', text, re.MULTILINE)
    assert check.release(oldest[1]) == packages.OLDEST_PYTHON


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        ("MMCV==2.3.6 is used but incompatible. Please install mmcv>=2.0.0", "those that do"),
        ("nms_impl: implementation for device cuda:0 not found.", "hides torchvision's"),
        ("CUDA error: no kernel image is available for execution", "TORCH=cu126"),
        ("No module named 'mmcv._ext'", "make install"),
        ("mmcv/_ext.so: undefined symbol: _Z3", "requirements/install.sh --force"),
        ("something else", ""),
    ],
)
def test_known_errors(error, cure):
    text = check.known_cure(RuntimeError(error))
    assert cure in text
    assert "{" not in text
    assert bool(text) == bool(cure)


def test_headers_are_named_where_triton_needs_them(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "count_gpus", lambda: 1)
    monkeypatch.setattr(machine.util, "find_spec", lambda name: object())
    monkeypatch.setattr(machine.shutil, "which", lambda command: command)
    monkeypatch.setattr(machine.sysconfig, "get_path", lambda name: str(tmp_path))
    assert machine._compiler().status == check.WARN
    (tmp_path / "Python.h").write_text("")
    assert machine._compiler().status == check.OK
