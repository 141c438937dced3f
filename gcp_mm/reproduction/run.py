"""The jobs of a plan on all cores or GPUs; what is done is not done again."""

from __future__ import annotations

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
from gcp_mm.reproduction.configs import resolve, resolve_config, start_files
from gcp_mm.reproduction.jobs import GCP_MM, Job
from gcp_mm.reproduction.results import (
    DONE,
    check_starts,
    headline,
    read_done,
    write_done,
    write_started,
)
from gcp_mm.reproduction.slots import Slots
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
class _Running:
    """A job whose commands run one after the other."""

    job: Job
    places: list[int]
    started: float
    lock: Any
    left: list[tuple[str, ...]]
    logged: int
    worker: Worker | None = None
    shown: int = 0


class Runs:
    """Runs jobs in a work folder, each of which comes after those that it needs."""

    def __init__(self, jobs: Sequence[Job], work: Path, data: Path, slots: Slots) -> None:
        self._jobs, self._work, self._data, self._slots = jobs, work, data, slots
        self._running: list[_Running] = []
        self._failed: dict[str, str] = {}

    def run(self) -> None:
        """Run what is not done; if a job fails, those that do not need it are done before."""
        done = {job.name for job in self._jobs if read_done(self._work, job)}
        waiting = [job for job in self._jobs if job.name not in done]
        self._total, self._finished = len(self._jobs), len(done)
        if done:
            print(f"{len(done)} of {len(self._jobs)} runs are done already", flush=True)
        with Progress(sum(map(cost, waiting))) as self._progress:
            try:
                while waiting or self._running:
                    self._start_ready(waiting, done)
                    if not self._running and not any(done.issuperset(j.needs) for j in waiting):
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

    def _start_ready(self, waiting: list[Job], done: set[str]) -> None:
        slots = self._slots
        taken = {place for entry in self._running for place in entry.places}
        free = [place for place in range(len(slots.devices)) if place not in taken]
        while len(self._running) < slots.most:
            ready = (job for job in waiting if done.issuperset(job.needs))
            # What takes one GPU goes before a training that has to wait for several.
            job = next((job for job in ready if slots.of(job) <= len(free)), None)
            if job is None:
                return
            waiting.remove(job)
            places = free[: slots.of(job)]
            try:
                running = self._start(job, places)
            except UserError as error:  # such as another process that is at work on it
                self._fail(job, str(error))
                continue
            if running is None:
                done.add(job.name)
                self._finished += 1
                self._progress.update(cost(job))
            else:
                self._running.append(running)
                del free[: len(places)]

    def _start(self, job: Job, places: list[int]) -> _Running | None:
        """Start a job; None if another process has finished it meanwhile."""
        folder = self._work / job.name
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold_file(folder / DONE, "is being made", "wait for it, or stop it").acquire()
        try:
            if read_done(self._work, job):
                lock.release()
                return None
            if start_files(job.config):  # which may have been replaced since another run began
                check_starts(self._work, self._jobs, self._data)
            write_started(self._work, job, self._data)
            self._write_configs(job)
            log = folder / _LOG
            logged = log.stat().st_size if log.is_file() else 0
            running = _Running(job, places, time.monotonic(), lock, list(job.commands), logged)
            self._next_command(running)
        except BaseException:
            lock.release()
            raise
        return running

    def _write_configs(self, job: Job) -> None:
        """Write the config of a job, or of the trainings that are measured.

        What these left names folders that may have been moved since.
        """
        jobs = [job] if job.config else [other for other in self._jobs if other.name in job.needs]
        for one in jobs:
            if one.config:
                text = resolve_config(one.config, self._work.absolute(), self._data.absolute())
                atomic_write(self._work / one.name / "config.py", text, "config")

    def _next_command(self, running: _Running) -> None:
        folder = self._work / running.job.name
        gpus = [name for place in running.places if (name := self._slots.devices[place])]
        words = command_words(running.left.pop(0), self._work, self._data, folder)
        devices = gpus or None
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
    """Put folders into a command, and let a training go on."""
    latest = latest_checkpoint(folder)
    found = [resolve(word, work, data).replace("{latest}", latest or "") for word in words]
    if found[:2] == [GCP_MM, "train"] and latest:
        found.append("--resume")
    return found
