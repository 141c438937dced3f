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
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, atomic_write
from gcp_mm.locks import hold_file
from gcp_mm.reproduction.jobs import GCP_MM, Job, resolve, resolve_config
from gcp_mm.reproduction.results import DONE, headline, read_done, write_done, write_started
from gcp_mm.reproduction.worker import Worker

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
        number: Jobs that run at once.
        threads: Threads of each.
        gpus: GPUs of each; 0 on a machine that computes on CPUs.
    """

    number: int
    threads: int
    gpus: int = 0


def find_slots(gpus_per_run: int = 1, number: int | None = None) -> Slots:
    """Share this machine: its GPUs, or else its cores."""
    import torch

    cores = len(os.sched_getaffinity(0))
    gpus = torch.cuda.device_count()
    if gpus and gpus < gpus_per_run:
        raise UserError(
            f"a run of this plan takes {gpus_per_run} GPUs, and this machine has {gpus}"
        )
    most = gpus // gpus_per_run if gpus else cores
    number = min(number or most, most)
    return Slots(number, max(1, cores // number), gpus_per_run if gpus else 0)


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
                for entry in self._running:
                    if entry.worker:
                        entry.worker.stop()
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
        for slot in range(self._slots.number):
            job = next((job for job in waiting if done.issuperset(job.needs)), None)
            if job is None:
                return
            if slot not in taken:
                waiting.remove(job)
                self._running.append(self._start(job, slot))

    def _start(self, job: Job, slot: int) -> _Running:
        folder = self._work / job.name
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold_file(folder / DONE, "is being made", "wait for it, or stop it").acquire()
        try:
            write_started(self._work, job)
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
        gpus = self._slots.gpus
        devices = list(range(running.slot * gpus, (running.slot + 1) * gpus)) if gpus else None
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
                    self._fail(entry, f"exit code {code}, {self._last_words(entry)}")
            except UserError as error:  # what it left is not what it should be
                self._fail(entry, str(error))
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

    def _last_words(self, entry: _Running) -> str:
        """Return the last line that a job has printed since it was started."""
        log = self._work / entry.job.name / _LOG
        printed = log.read_bytes()[entry.logged :] if log.is_file() else b""
        lines = [line for line in printed.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:_LONGEST] if lines else "without a word"

    def _fail(self, entry: _Running, told: str) -> None:
        self._failed[entry.job.name] = told if told.endswith(".") else f"{told}."
        self._progress.say(f"failed: {entry.job.name}: {told}")
        self._progress.update(cost(entry.job) - entry.shown)


def command_words(words: Sequence[str], work: Path, data: Path, folder: Path) -> list[str]:
    """Put folders into a command, and let a training go on that was interrupted."""
    latest = latest_checkpoint(folder)
    found = [resolve(word, work, data).replace("{latest}", latest or "") for word in words]
    if found[:2] == [GCP_MM, "train"] and latest:
        found.append("--resume")
    return found
