"""What jobs run on: the GPUs of this machine, or else its cores."""

from __future__ import annotations

import os
from dataclasses import dataclass

from gcp_mm.errors import UserError
from gcp_mm.reproduction.jobs import SHARING, Job


@dataclass
class Slots:
    """How many jobs run at once, and on what.

    Attributes:
        devices: The GPUs that are shared, by the names that CUDA_VISIBLE_DEVICES takes; without
            any, a None for each job that computes on CPUs.
        threads: Threads of each process.
        gpus_per_run: GPUs that a training takes; what measures takes one.
        number: Most jobs at once; by default as many as there are devices.
    """

    devices: list[str | None]
    threads: int
    gpus_per_run: int = 1
    number: int | None = None

    @property
    def most(self) -> int:
        """Most jobs at once."""
        return self.number or len(self.devices)

    def of(self, job: Job) -> int:
        """Return how many devices a job takes."""
        shared = job.kind in SHARING and self.devices[0] is not None
        return self.gpus_per_run if shared else 1


def find_slots(gpus_per_run: int = 1, number: int | None = None, data_only: bool = False) -> Slots:
    """Share this machine: its GPUs, or else its cores; data alone are made on cores."""
    import torch

    cores = len(os.sched_getaffinity(0))
    gpus = [] if data_only else visible_devices(torch.cuda.device_count())
    if not data_only and (gpus or gpus_per_run > 1) and len(gpus) < gpus_per_run:
        raise UserError(
            f"a run of this plan takes {gpus_per_run} GPUs, and this machine has {len(gpus)}: "
            "submit it with tools/slurm_reproduce.sh, or lower gpus_per_run in the plan"
        )
    if not gpus:
        most = number or cores
        return Slots([None] * most, max(1, cores // most))
    if number and number > len(gpus):
        raise UserError(
            f"--jobs {number}: this machine has {len(gpus)} GPUs, and a run takes one at least"
        )
    # Each of the processes of a training that shares GPUs has threads of its own.
    busy = min(len(gpus), number * gpus_per_run) if number else len(gpus)
    return Slots([*gpus], max(1, cores // busy), gpus_per_run, number)


def visible_devices(count: int) -> list[str]:
    """Name the GPUs that this process sees, as the variable that hides others does."""
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return named[:count] if any(named) else [str(index) for index in range(count)]
