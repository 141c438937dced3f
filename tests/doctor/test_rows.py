"""Parts of the self-check that need no stack to look at, and an installation of the layer alone."""

import platform
import re
from importlib import util
from pathlib import Path

import pytest

from gcp_mm.doctor import check, conflicts, machine, packages, report, stack
from gcp_mm.doctor.check import FAIL, OK, Check

# Of an installation by pip and without OpenMMLab.
LAYER_ALONE = [Check("torch", "2.13.0"), Check("mmengine", "not installed", FAIL, "install it")]


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
    rows = [Check("a", "1"), Check("bb", "", FAIL, "do it", blocking=False)]
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
    monkeypatch.setattr(machine.torch_backends, "count_gpus", lambda: 1)
    monkeypatch.setattr(machine.util, "find_spec", lambda name: object())
    monkeypatch.setattr(machine.shutil, "which", lambda command: command)
    monkeypatch.setattr(machine.sysconfig, "get_path", lambda name: str(tmp_path))
    assert machine._compiler()[1] == check.WARN
    (tmp_path / "Python.h").write_text("")
    assert machine._compiler() == "gcc, g++"


def test_no_other_compiler_stands_in_for_the_one_that_is_named(monkeypatch):
    monkeypatch.setattr(machine.torch_backends, "count_gpus", lambda: 1)
    monkeypatch.setattr(machine.util, "find_spec", lambda name: object())
    monkeypatch.setattr(machine.shutil, "which", lambda name: None if name == "icx" else name)
    monkeypatch.setenv("CC", "icx -O2")
    # Triton takes what CC says, and nothing else.
    assert machine._compiler()[:2] == ("no C compiler: plain operators on the GPU", check.WARN)


@pytest.fixture
def no_openmmlab(monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(
        report.util, "find_spec", lambda name: None if name.startswith("mm") else found(name)
    )
    monkeypatch.setattr(report, "diagnose", lambda: LAYER_ALONE)


def test_layer_can_be_used(no_openmmlab, capsys):
    assert LAYER_ALONE[0].status == OK
    assert report.main([]) == 0
    output = capsys.readouterr().out
    assert "FAIL" not in output and "->" not in output
    assert "-     mmengine  not installed, not needed by the layer" in output
    last = output.splitlines()[-1]
    assert last.startswith("the layer (gcp_mm.ops) can be used; train, test and demo need OpenMM")


def test_without_torch_nothing_can(no_openmmlab, capsys, monkeypatch):
    broken = [Check("torch", "not installed", FAIL, "install it"), LAYER_ALONE[1]]
    monkeypatch.setattr(report, "diagnose", lambda: broken)
    assert report.main([]) == 1
    assert "will not work before torch, mmengine is cured" in capsys.readouterr().out


@pytest.mark.parametrize("forks", [False, True])
def test_cures_name_no_file_that_a_wheel_lacks(monkeypatch, forks):
    monkeypatch.setattr(stack, "_INSTALLER", Path("absent"))
    monkeypatch.setattr(stack, "on_forks", lambda: forks)
    extra = "onedl" if forks else "openmmlab"
    assert stack.install_command() == f"pip install 'gcp_mm[{extra}]'"
    # An index may not have gcp_mm, so that it is not among what is taken anew.
    again = stack.reinstall_command()
    assert again.startswith("pip install --force-reinstall ") and "gcp_mm" not in again
    assert stack.requirement("mmdet") in again.split()
    for text in (stack.install_command(), stack.reinstall_command(), stack.bare_mmcv_command()):
        assert "make" not in text and ".sh" not in text
