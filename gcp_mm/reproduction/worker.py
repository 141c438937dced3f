"""One command of a job in a process of its own: forked where all is imported, or started anew.

On CPUs the processes are forked from a server that has imported OpenMMLab once, which takes longer
than many of the commands. CUDA does not survive a fork, so that on GPUs each is a program.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO

from gcp_mm.errors import UserError
from gcp_mm.reproduction.jobs import DEMO_DATA, GCP_MM

# What the server imports before it forks: registries import these when something is built, which
# takes longer than training a small network for an epoch.
_PRELOAD = [
    *("gcp_mm", "torch", "mmpretrain.models", "mmpretrain.engine", "mmpretrain.datasets"),
    *("mmpretrain.evaluation", "mmpretrain.visualization", "mmdet.models", "mmdet.engine"),
    *("mmdet.datasets", "mmdet.evaluation", "mmdet.visualization", "mmdet.apis"),
    *("gcp_mm.registry", "gcp_mm.engine.runner", "gcp_mm.landscape.hook"),
    *("gcp_mm.landscape.surface", "gcp_mm.robustness.evaluation.evaluate"),
]
_MODULE = "gcp_mm.cli"
_PR_SET_PDEATHSIG = 1
# Seconds that commands have to end in.
_PATIENCE = 10


class Worker:
    """A command that runs, on the GPUs that it sees; None on a machine that computes on CPUs."""

    def __init__(
        self, words: Sequence[str], log: Path, threads: int, devices: Sequence[str] | None
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process: multiprocessing.process.BaseProcess | subprocess.Popen
        if words[0] == GCP_MM and devices is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(_PRELOAD)
            # Read by the server when it starts, and by what it imports.
            os.environ["OMP_NUM_THREADS"] = str(threads)
            self._process = context.Process(target=_run, args=(words, str(log), threads))
            self._process.start()
            return
        variables = {"OMP_NUM_THREADS": str(threads)}
        if devices is not None:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        with log.open("ab") as file:
            self._process = _start(program(words, len(devices or ())), variables, file)

    def code(self) -> int | None:
        """Return the exit code; None as long as it runs."""
        process = self._process
        return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; it is killed if that takes longer."""
        if isinstance(self._process, subprocess.Popen):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            self._process.kill()
            self._process.wait()
        else:
            self._process.join(seconds)
            self._process.kill()
            self._process.join()


def stop(workers: Sequence[Worker]) -> None:
    """End commands together, and wait until they have ended."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait(_PATIENCE)


def program(words: Sequence[str], gpus: int = 1) -> list[str]:
    """Return a command as a shell would be given it; on several GPUs, a process for each."""
    if words[0] == DEMO_DATA:
        tool = Path(__file__).parents[2] / "tools" / DEMO_DATA
        if not tool.is_file():
            raise UserError(
                "this plan makes its data with the source tree of this project, and an installed "
                "package has none: make them there (tools/make_demo_data.py)"
            )
        return [sys.executable, str(tool), *words[1:]]
    module = ["-m", _MODULE, *words[1:]]
    # The others measure on one GPU, or read pictures alone.
    if gpus > 1 and words[1] in ("train", "test"):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={gpus}"]
        return [sys.executable, *launcher, *module, "--launcher", "pytorch"]
    return [sys.executable, *module]


def _start(
    words: Sequence[str], variables: Mapping[str, str], output: IO[bytes]
) -> subprocess.Popen:
    """Start a program that ends with this process."""
    library = ctypes.CDLL(None)

    def end_with_parent() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables},
        preexec_fn=end_with_parent if hasattr(library, "prctl") else None,
    )


def _run(words: Sequence[str], log: str, threads: int) -> None:
    """Run a command of this package in a forked process."""
    # mmengine collects garbage for each data set, which took a third of the time of a small run:
    # what the server has imported is none.
    gc.freeze()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666)
    for output in (1, 2):
        os.dup2(descriptor, output)
    import torch

    torch.set_num_threads(threads)
    # The room of the commands is above this one: they are started as a shell would.
    sys.argv = [_MODULE, *words[1:]]
    runpy.run_module(_MODULE, run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
