"""torchrun's exit codes, without its report."""

import functools
import signal
import sys

import pytest

from gcp_mm.engine import launch
from gcp_mm.engine.torch_backends import check_gpu_driver

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


@pytest.fixture(autouse=True)
def handlers():
    """Put back the signal handlers that torchrun replaces."""
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:Unable to enable fault handler")
@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("pass", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit(7)", 7, "error: process 0 failed: "),
        ("os.kill(os.getpid(), 9)", 1, "error: process 0 failed: Signal 9"),
    ],
)
def test_exit_code_is_that_of_the_worker(tmp_path, capsys, end, code, message):
    script = tmp_path / "worker.py"
    script.write_text(f"import os, sys\n{end}\n")
    arguments = ["--nproc_per_node=1", "--master_port=0", "--monitor-interval=0.05", str(script)]
    assert launch.main(arguments) == code
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == bool(message)
    assert message in errors


@pytest.mark.filterwarnings("ignore:Unable to enable fault handler")
def test_arguments_come_from_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["launch", "--help"])
    assert launch.main() == 0
    assert "--nproc" in capsys.readouterr().out


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:Unable to enable fault handler")
@pytest.mark.parametrize("visible", [None, ""])
def test_no_worker_starts_beside_a_gpu_that_torch_cannot_use(
    tmp_path, capsys, monkeypatch, visible
):
    (tmp_path / "nvidiactl").touch()
    check = functools.partial(check_gpu_driver, [tmp_path / "nvidiactl"])
    monkeypatch.setattr(launch, "check_gpu_driver", check)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    script = tmp_path / "worker.py"
    script.write_text(f"open({str(tmp_path / 'started')!r}, 'w')\n")
    code = launch.main(["--standalone", "--local_addr=127.0.0.1", str(script)])
    errors = capsys.readouterr().err
    if visible is None:
        assert code == 2
        assert errors.startswith("error: there is a GPU driver, but torch can use no GPU: ")
        assert errors.count("\n") == 1
    else:
        assert (code, errors) == (0, "")
    assert (tmp_path / "started").exists() == (visible is not None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (launch.SignalException("got signal: 2", signal.SIGINT), 130),
        (launch.SignalException("got signal: 15", signal.SIGTERM), 143),
    ],
)
def test_interruption_ends_with_the_code_of_a_shell(monkeypatch, capsys, error, code):
    def end(arguments):
        raise error

    monkeypatch.setattr(launch, "torchrun", end)
    assert launch.main([]) == code
    assert capsys.readouterr().err == "interrupted\n"
