"""An installation of the layer alone, by pip and without OpenMMLab."""

from importlib import util
from pathlib import Path

import pytest

from gcp_mm.doctor import report, stack
from gcp_mm.doctor.check import FAIL, OK, Check

CHECKS = [Check("torch", "2.13.0"), Check("mmengine", "not installed", FAIL, "install it")]


@pytest.fixture
def no_openmmlab(monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(
        report.util, "find_spec", lambda name: None if name.startswith("mm") else found(name)
    )
    monkeypatch.setattr(report, "diagnose", lambda: CHECKS)


def test_layer_can_be_used(no_openmmlab, capsys):
    assert CHECKS[0].status == OK
    assert report.main([]) == 0
    output = capsys.readouterr().out
    assert "FAIL" not in output and "->" not in output
    assert "-     mmengine  not installed, not needed by the layer" in output
    last = output.splitlines()[-1]
    assert last.startswith("the layer (gcp_mm.ops) can be used; train, test and demo need OpenMM")


def test_without_torch_nothing_can(no_openmmlab, capsys, monkeypatch):
    broken = [Check("torch", "not installed", FAIL, "install it"), CHECKS[1]]
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
