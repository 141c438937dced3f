"""The jobs of a plan on all cores or GPUs; what is done is not done again."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_mm.console.progress import Progress
from gcp_mm.engine.runner import latest_checkpoint
from gcp_mm.errors import UserError, first_line
from gcp_mm.files import abbreviate, atomic_write
from gcp_mm.locks import hold_file
from gcp_mm.reproduction.jobs import GCP_MM, Job, resolve, resolve_config, weights_of
from gcp_mm.reproduction.results import DONE, headline, read_done, write_done, write_started
from gcp_mm.reproduction.worker import Worker, stop

# Seconds that a unit of a kind takes, to each other; what is left of the time follows from them.
_COSTS = {"data": 15, "corrupt": 20, "train": 10, "curvature": 20, "detector": 60}
_OTHER_COST = 8
_LOG = "log.txt"
# Of a line of it that a message repeats.
_LONGEST = 400
# Seconds between two looks at what runs.
_PAUSE = 0.1


def cost(job: Job) -> int:
    """Return how long a job takes, to other jobs."""
    return max(1, round(job.units * _COSTS.get(job.kind, _OTHER_COST)))


@dataclass
class Slots:
    """How many jobs run at once, and on what.

    Attributes:
        devices: The GPUs of each job that runs at once, by the names that CUDA_VISIBLE_DEVICES
            takes; None for one that computes on CPUs.
        threads: Threads of each.
    """

    devices: list[list[str] | None]
    threads: int


def find_slots(gpus_per_run: int = 1, number: int | None = None, data_only: bool = False) -> Slots:
    """Share this machine: its GPUs, or else its cores.

    Args:
        gpus_per_run: GPUs that a run takes.
        number: Most jobs at once.
        data_only: Whether nothing is computed that a GPU is for.

    Raises:
        UserError: If a run takes more GPUs than there are.
    """
    import torch

    cores = len(os.sched_getaffinity(0))
    gpus = [] if data_only else visible_devices(torch.cuda.device_count())
    if not data_only and (gpus or gpus_per_run > 1) and len(gpus) < gpus_per_run:
        raise UserError(
            f"a run of this plan takes {gpus_per_run} GPUs, and this machine has {len(gpus)}: "
            "submit it with tools/slurm_reproduce.sh, or lower gpus_per_run in the plan"
        )
    devices: list[list[str] | None] = [None] * cores
    if gpus:
        starts = range(0, len(gpus) - gpus_per_run + 1, gpus_per_run)
        devices = [gpus[start : start + gpus_per_run] for start in starts]
    devices = devices[:number]
    return Slots(devices, max(1, cores // len(devices)))


def visible_devices(count: int) -> list[str]:
    """Name the GPUs that this process sees, as the variable that hides others does."""
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return named[:count] if any(named) else [str(index) for index in range(count)]


@dataclass
class _Running:
    """A job whose commands run one after the other."""

    job: Job
    slot: int
    started: float
    lock: Any
    left: list[tuple[str, ...]]
    logged: int
    worker: Worker | None = None
    shown: int = 0


class Runs:
    """Runs jobs in a work folder.

    Args:
        jobs: In an order in which each comes after those that it needs, unless these are done.
        work: The folder.
        data: Folder of the data.
        slots: What they run on.
    """

    def __init__(self, jobs: Sequence[Job], work: Path, data: Path, slots: Slots) -> None:
        self._jobs, self._work, self._data, self._slots = jobs, work, data, slots
        self._running: list[_Running] = []
        self._failed: dict[str, str] = {}

    def run(self) -> None:
        """Run what is not done.

        Raises:
            UserError: If a job fails; those that do not need it are done before.
        """
        done = {job.name for job in self._jobs if read_done(self._work, job)}
        waiting = [job for job in self._jobs if job.name not in done]
        self._total, self._finished = len(self._jobs), len(done)
        if done:
            print(f"{len(done)} of {len(self._jobs)} runs are done already", flush=True)
        with Progress(sum(map(cost, waiting))) as self._progress:
            try:
                while waiting or self._running:
                    self._start_ready(waiting, done)
                    if not self._running and not self._can_start(waiting, done):
                        break
                    time.sleep(_PAUSE)
                    self._look(done)
            finally:
                stop([entry.worker for entry in self._running if entry.worker])
                for entry in self._running:
                    entry.lock.release()
        if self._failed:
            name = next(iter(self._failed))
            others = len(waiting)
            behind = f"; {others} that need failed ones were not started" if others else ""
            raise UserError(
                f"{len(self._failed)} of {self._total} runs failed "
                f"({abbreviate(self._failed)}{behind}). The first one said: {self._failed[name]} "
                f"Its output is in {self._work / name / _LOG}; started again, the plan goes on"
            )
        if waiting:
            needed = sorted({name for job in waiting for name in job.needs} - done)
            raise UserError(
                f"{waiting[0].name} needs {abbreviate(needed)}, which is not done here: run the "
                "preparation (--prepare), or the whole plan"
            )

    def _can_start(self, waiting: Sequence[Job], done: set[str]) -> bool:
        return any(done.issuperset(job.needs) for job in waiting)

    def _start_ready(self, waiting: list[Job], done: set[str]) -> None:
        taken = {entry.slot for entry in self._running}
        free = [slot for slot in range(len(self._slots.devices)) if slot not in taken]
        while free and (job := next((j for j in waiting if done.issuperset(j.needs)), None)):
            waiting.remove(job)
            try:
                running = self._start(job, free[0])
            except UserError as error:  # such as another process that is at work on it
                self._fail(job, str(error))
                continue
            if running is None:
                done.add(job.name)
                self._count(job, 0)
            else:
                self._running.append(running)
                free.pop(0)

    def _start(self, job: Job, slot: int) -> _Running | None:
        """Start a job; None if another process has finished it meanwhile."""
        folder = self._work / job.name
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold_file(folder / DONE, "is being made", "wait for it, or stop it").acquire()
        try:
            if read_done(self._work, job):
                lock.release()
                return None
            write_started(self._work, job, weights_of(job, self._data))
            if job.config:
                text = resolve_config(job.config, self._work.absolute(), self._data.absolute())
                atomic_write(folder / "config.py", text, "config")
            log = folder / _LOG
            logged = log.stat().st_size if log.is_file() else 0
            running = _Running(job, slot, time.monotonic(), lock, list(job.commands), logged)
            self._next_command(running)
        except BaseException:
            lock.release()
            raise
        return running

    def _next_command(self, running: _Running) -> None:
        folder = self._work / running.job.name
        words = command_words(running.left.pop(0), self._work, self._data, folder)
        devices = self._slots.devices[running.slot]
        running.worker = Worker(words, folder / _LOG, self._slots.threads, devices)

    def _look(self, done: set[str]) -> None:
        for entry in list(self._running):
            assert entry.worker
            code = entry.worker.code()
            if code is None:
                self._show_epochs(entry)
                continue
            if code == 0 and entry.left:
                self._next_command(entry)
                continue
            self._running.remove(entry)
            try:
                if code == 0:
                    self._end(entry)
                    done.add(entry.job.name)
                else:
                    words = self._last_words(entry)
                    self._fail(entry.job, f"exit code {code}, {words}", entry.shown)
            except UserError as error:  # what it left is not what it should be
                self._fail(entry.job, str(error), entry.shown)
            except Exception as error:
                told = f"{type(error).__name__}: {first_line(error)}"
                self._fail(entry.job, f"what it left cannot be read ({told})", entry.shown)
            finally:
                entry.lock.release()

    def _show_epochs(self, entry: _Running) -> None:
        """Move the bar on by the epochs of a training that are done."""
        if entry.job.kind != "train":
            return
        latest = latest_checkpoint(self._work / entry.job.name)
        epoch = int(latest.rpartition("_")[2].removesuffix(".pth")) if latest else 0
        reached = min(cost(entry.job) - 1, round(epoch * cost(entry.job) / entry.job.units))
        if reached > entry.shown:
            self._progress.update(reached - entry.shown)
            entry.shown = reached

    def _end(self, entry: _Running) -> None:
        seconds = time.monotonic() - entry.started
        result = write_done(self._work, entry.job, seconds)
        self._finished += 1
        count = f"[{self._finished}/{self._total}]"
        self._progress.say(f"{count} {entry.job.name}: {headline(result)}, {seconds:.0f} s")
        self._progress.update(cost(entry.job) - entry.shown)

    def _count(self, job: Job, shown: int) -> None:
        """Count a job that another process has finished."""
        self._finished += 1
        self._progress.update(cost(job) - shown)

    def _last_words(self, entry: _Running) -> str:
        """Return the last line that a job has printed since it was started."""
        log = self._work / entry.job.name / _LOG
        printed = log.read_bytes()[entry.logged :] if log.is_file() else b""
        lines = [line for line in printed.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:_LONGEST] if lines else "without a word"

    def _fail(self, job: Job, told: str, shown: int = 0) -> None:
        self._failed[job.name] = told if told.endswith(".") else f"{told}."
        self._progress.say(f"failed: {job.name}: {told}")
        self._progress.update(cost(job) - shown)


def command_words(words: Sequence[str], work: Path, data: Path, folder: Path) -> list[str]:
    """Put folders into a command, and let a training go on that was interrupted."""
    latest = latest_checkpoint(folder)
    found = [resolve(word, work, data).replace("{latest}", latest or "") for word in words]
    if found[:2] == [GCP_MM, "train"] and latest:
        found.append("--resume")
    return found
