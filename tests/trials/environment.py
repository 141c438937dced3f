"""Faults of the machine under every command: one line, and nothing that was computed is lost.

A case holds if the command ends well or with one line, leaves no half-written file, and gives the
result of an undisturbed run when it is started again where the fault is gone.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from forked import Ended, command, run_forked
from inputs import Inputs
from kills import JOBS, Job, arguments_of, leftovers, run_job
from outcome import Outcome
from results import first_difference

# Version of the calls below, and the right to ignore the modes of files (linux/capability.h).
_CAPABILITIES, _DAC_OVERRIDE = 0x20080522, 1


class Fault(NamedTuple):
    """A fault of the machine.

    Attributes:
        begin: Called in the child before the command, with the folder that it writes to.
        codes: The exit statuses that hold.
        end: Called afterwards, to take the fault away.
    """

    begin: Callable[[Path], object]
    codes: tuple[int, ...] = (0, 2)
    end: Callable[[Path], object] = lambda folder: None


def _limit_file_size(size: int) -> Callable[[Path], object]:
    # A disk that fills up gives another number of the same kind of error.
    return lambda folder: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _limit(kind: int, value: int) -> Callable[[Path], object]:
    return lambda folder: resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def _read_only(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555)
    # Modes stop everyone but root, who gives this right away here.
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    sets[0] &= ~(1 << _DAC_OVERRIDE)
    libc.capset(header, sets)


def _file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def _folder_again(folder: Path) -> None:
    if folder.is_file():
        folder.unlink()


def _closed_output(folder: Path) -> None:
    os.close(1)


def _broken_pipe(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 1)


def _no_temporary_folder(folder: Path) -> None:
    tempfile.tempdir = None
    os.environ.update(TMPDIR="/nowhere", TMP="/nowhere", TEMP="/nowhere")
    tempfile._candidate_tempdir_list = lambda: ["/nowhere"]


def _removed_working_folder(folder: Path) -> None:
    gone = folder.parent / f"{folder.name}_gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()


def _no_home(folder: Path) -> None:
    os.environ.update(HOME="/nowhere", XDG_CACHE_HOME="/nowhere/cache", MPLCONFIGDIR="/nowhere/mpl")
    os.environ.pop("USER", None)


def _signal_at_first_file(number: int) -> Callable[[Path], object]:
    """Send a signal when the command has written something: it is at work then."""

    def begin(folder: Path) -> None:
        def wait() -> None:
            while not any(path.is_file() for path in folder.rglob("*")):
                time.sleep(0.002)
            os.kill(os.getpid(), number)

        threading.Thread(target=wait, daemon=True).start()

    return begin


FAULTS = {
    "no byte fits on the disk": Fault(_limit_file_size(0)),
    "1 kB fits on the disk": Fault(_limit_file_size(1000)),
    "30 kB fit on the disk": Fault(_limit_file_size(30_000)),
    "read-only folder": Fault(_read_only, end=lambda folder: folder.chmod(0o755)),
    "a file in place of the folder": Fault(_file_instead, end=_folder_again),
    "24 file descriptors": Fault(_limit(resource.RLIMIT_NOFILE, 24)),
    "closed output": Fault(_closed_output),
    "broken pipe": Fault(_broken_pipe, codes=(0, 2, 141, -signal.SIGPIPE)),
    "no temporary folder": Fault(_no_temporary_folder),
    "removed working folder": Fault(_removed_working_folder),
    "no home": Fault(_no_home, codes=(0,)),
    "umask 077": Fault(lambda folder: os.umask(0o077), codes=(0,)),
    # It may come when all is done.
    "Ctrl-C": Fault(_signal_at_first_file(signal.SIGINT), codes=(130, 0)),
    "SIGTERM": Fault(_signal_at_first_file(signal.SIGTERM), codes=(143, -signal.SIGTERM, 0)),
    "SIGHUP": Fault(_signal_at_first_file(signal.SIGHUP), codes=(129, -signal.SIGHUP, 0)),
}


def _run_with(fault: Fault, job: Job, inputs: Inputs, folder: Path) -> Ended:
    folder.mkdir(parents=True)
    work = command(*arguments_of(job, inputs, folder, again=False))

    def faulty() -> None:
        fault.begin(folder)
        work()

    ended = run_forked(faulty)
    fault.end(folder)
    return ended


def _judge(fault: Fault, ended: Ended, allowed: bool) -> str | None:
    if ended.code is None:
        return "hangs"
    if "Traceback (most recent" in ended.output:
        return f"traceback: {ended.last_line}"
    if ended.code not in fault.codes:
        return f"ends otherwise: {ended.last_line}"
    if ended.code == 2 and "error: " not in ended.output and allowed:
        return f"says nothing: {ended.last_line}"
    return None


def run(inputs: Inputs, seconds: float, seed: int) -> int:
    """Run every job under every fault, in random order while there is time.

    Args:
        inputs: See :func:`inputs.make_inputs`.
        seconds: Time to spend.
        seed: Order of the cases.

    Returns:
        Exit status.
    """
    end = time.monotonic() + seconds
    outcome = Outcome("environment")
    straight: dict[str, dict] = {}
    cases = [(job, fault) for job in JOBS for fault in FAULTS]
    random.Random(seed).shuffle(cases)
    for number, (name, fault_name) in enumerate(cases):
        if time.monotonic() > end:
            break
        job, fault = JOBS[name], FAULTS[fault_name]
        if name not in straight:
            here = inputs.folder / "environment" / f"straight_{number}"
            ended, _ = run_job(job, inputs, here, again=False)
            straight[name] = job.result(here)
            if ended.code != 0:
                outcome.failed(f"{name} without a fault", ended.last_line)
        here = inputs.folder / "environment" / str(number)
        ended = _run_with(fault, job, inputs, here)
        problem = _judge(fault, ended, allowed="output" not in fault_name)
        half = leftovers(here)
        if problem is None and half and ended.code in (0, 2):
            problem = f"left {', '.join(half)}"
        if problem is None:
            again, _ = run_job(job, inputs, here, again=True)
            difference = first_difference(straight[name], job.result(here))
            if again.code != 0 or again.crashed:
                problem = f"does not go on afterwards: {again.last_line}"
            elif difference:
                problem = f"afterwards {difference}"
        if problem:
            outcome.failed(f"{fault_name}: {name}", problem)
        else:
            outcome.held()
        shutil.rmtree(here, ignore_errors=True)
    return outcome.report()
