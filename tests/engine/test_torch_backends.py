"""Compilers that are not there are named before the training starts; settings are put back."""

import json
import sysconfig
from pathlib import Path

import pytest
from mmengine.config import Config

from gcp_mm.engine.torch_backends import check_compile
from gcp_mm.errors import UserError


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Pretend a machine with the headers of Python and some programs."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    (tmp_path / "bin").mkdir()

    def install(*names):
        for name in names:
            (tmp_path / "bin" / name).touch(mode=0o755)

    return install


@pytest.mark.parametrize("options", [True, {}, dict(mode="max-autotune"), dict(backend="inductor")])
def test_missing_compiler(programs, options):
    cfg = Config(dict(compile=options))
    with pytest.raises(UserError) as caught:
        check_compile(cfg, "cpu")
    for part in ("'g++' is not found", "apt-get install g++", "CXX", "compile=False"):
        assert part in str(caught.value)
    programs("g++")
    check_compile(cfg, "cpu")


def test_gpu_needs_a_c_compiler(programs, monkeypatch):
    cfg = Config(dict(compile=True))
    programs("g++")
    with pytest.raises(UserError, match="gcc or clang is not found: apt-get install gcc"):
        check_compile(cfg, "cuda")
    programs("clang")
    check_compile(cfg, "cuda")
    monkeypatch.setenv("CC", "icx -O2")
    with pytest.raises(UserError, match="icx is not found"):
        check_compile(cfg, "cuda")


def test_compiler_that_the_user_names(programs, monkeypatch):
    monkeypatch.setenv("CXX", "clang++-18 -O2")
    cfg = Config(dict(compile=True))
    with pytest.raises(UserError, match=r"'clang\+\+-18' is not found"):
        check_compile(cfg, "cpu")
    programs("clang++-18")
    check_compile(cfg, "cpu")


def test_missing_headers(programs):
    programs("g++")
    (Path(sysconfig.get_path("include")) / "Python.h").unlink()
    with pytest.raises(UserError, match="Python.h does not exist: install this Python again with"):
        check_compile(Config(dict(compile=True)), "cpu")


@pytest.mark.parametrize("cfg", [{}, dict(compile=False), dict(compile=dict(backend="eager"))])
def test_nothing_to_compile(programs, cfg):
    check_compile(Config(cfg), "cpu")


PROGRAM = """
import json, os, sys, torch
from torch.backends import cudnn
from gcp_mm.engine.torch_backends import reproducible_kernels

matmul = torch.backends.cuda.matmul

def state():
    def allowed(owner):
        try:
            return owner.allow_tf32
        except RuntimeError:
            return "cannot be read"

    kinds = (matmul, cudnn.conv, cudnn.rnn)
    precisions = [kind.fp32_precision for kind in kinds]
    return [cudnn.enabled, cudnn.benchmark, cudnn.deterministic, precisions,
            allowed(matmul), allowed(cudnn)]

def observe():
    found = [state()]
    for tf32 in (False, True):
        try:
            with reproducible_kernels(tf32):
                found.append(state())
                raise KeyError
        except KeyError:
            found.append(state())
    print(json.dumps(found), flush=True)

for setting in json.loads(sys.argv[1]):
    if os.fork() == 0:
        exec(setting)
        observe()
        os._exit(0)
    os.wait()
"""
SETTINGS = [
    "cudnn.benchmark, cudnn.enabled = True, False",
    "matmul.allow_tf32 = True",
    "cudnn.allow_tf32 = False",
    "cudnn.conv.fp32_precision = 'ieee'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.set_float32_matmul_precision('high')",
]


@pytest.fixture(scope="module")
def observed(run_tool):
    """Return the states by setting.

    They hold for a whole process, and an old one cannot be read any more once a newer one was used.
    """
    process = run_tool("-c", PROGRAM, json.dumps(SETTINGS))
    assert process.returncode == 0, process.stderr
    return dict(zip(SETTINGS, map(json.loads, process.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_replaced_and_restored(observed, setting):
    before, exact, after, tf32, at_last = observed[setting]
    assert before == after == at_last
    assert exact[:4] == [before[0], False, True, ["ieee"] * 3]
    assert tf32[:4] == [before[0], False, True, ["tf32"] * 3]
