"""Random numbers that depend on the epoch alone, so that a resumed training draws the same ones.

mmengine seeds once, at the start of a process: a run that continues at epoch k draws the crops of
epoch 1 again, and every other network after it sees other images than in a run without a stop.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.registry import FUNCTIONS, HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and PyTorch at the start of each epoch from seed, epoch and rank.

    Workers of a data loader follow if they are started in each epoch and seeded by
    :func:`seed_worker`: ``persistent_workers=False``, ``worker_init_fn=dict(type=
    'gcp_mm.seed_worker')``.
    """

    priority = "VERY_HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed."""
        _seed_all(runner.seed, runner.epoch, get_rank())


def _seed_all(*parts: int) -> None:
    # As NumPy recommends for streams that must not overlap.
    number = int(np.random.SeedSequence(parts).generate_state(1, np.uint32)[0])
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


@FUNCTIONS.register_module()
def seed_worker(worker_id: int, **_: Any) -> None:
    """Seed a worker of a data loader by what the loader drew for it in the main process.

    Args:
        worker_id: Number of the worker.
        **_: What mmengine's runner gives; its seed is the same in every epoch.
    """
    # PyTorch sets this one from the generator of the main process when the workers start.
    _seed_all(torch.initial_seed() % 2**32, worker_id)
