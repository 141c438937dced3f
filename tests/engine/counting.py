"""A training in fractions of a second, whose score follows from the number of its steps."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from shared_folder import REPO
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401  (its hooks)

ITERATIONS = 2  # of an epoch
UNTIL = """
import pickle, sys
from engine.counting import run_until
run_until(*pickle.load(sys.stdin.buffer))
"""
SCORES = (0.0, 0.3, 0.6, 0.5, 0.8, 0.7)  # after each epoch; the first is before training


class Counting(BaseModel):
    """A regression that counts its steps in a buffer, which a checkpoint holds."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        nn.init.constant_(self.linear.weight, 0.25)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor, y: Tensor, mode: str) -> dict[str, Tensor] | Tensor:
        """Return the loss, or the number of steps."""
        if mode == "predict":
            return self.steps.reshape(1)
        self.steps += 1
        return {"loss": (self.linear(x)[:, 0] - y.float()).square().mean()}


class Score(BaseMetric):
    """The score of the epoch, by two names."""

    def process(self, data_batch: dict, data_samples: Tensor) -> None:
        """Keep the number of steps."""
        self.results.append(int(data_samples[0]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Look the score up; the error is best where the accuracy is worst."""
        score = SCORES[results[0] // ITERATIONS]
        return {"accuracy/top1": score, "loss/top1": score}


def counting_runner(work_dir: Path, epochs: int = 3, **changes: object) -> Runner:
    """Return the runner of a training; the checkpoint hook's settings are in ``hook``."""
    data = [(torch.full((2,), float(i)), float(i)) for i in range(4)]
    loader = dict(batch_size=2, collate_fn=dict(type="default_collate"), dataset=data)
    by_epoch = changes.get("train_cfg", {}).get("by_epoch", True)
    sampler = dict(type="DefaultSampler" if by_epoch else "InfiniteSampler", shuffle=False)
    hook = dict(type="gcp_mm.CheckpointHook", interval=1, save_best="auto")
    hook.update(backend_args=dict(backend="gcp_mm_atomic"), **changes.pop("hook", {}))
    settings = dict(
        model=Counting(),
        work_dir=str(work_dir),
        train_dataloader=dict(sampler=sampler, **loader),
        val_dataloader=dict(sampler=dict(type="DefaultSampler", shuffle=False), **loader),
        val_evaluator=Evaluator(Score()),
        val_cfg={},
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        param_scheduler=dict(type="MultiStepLR", milestones=[1]),
        default_hooks=dict(checkpoint=hook),
        custom_hooks=[dict(type="gcp_mm.FiniteCheckHook")],
        experiment_name="counting",
        log_level="ERROR",
        randomness=dict(seed=0),
    )
    return Runner(**{**settings, **changes})


def run_killed(
    env: Mapping[str, str], run: Callable[[], object], event: int, kind: str = ""
) -> bool:
    """Run in a process of its own that is killed at the n-th event; return whether it was.

    Events are fsync, replace, remove, unlink and the batches of a validation (process), each
    before and after it; ``kind`` counts those of one name alone. What is run is pickled. The Python
    of the environment has run nothing: a fork of this process cannot train once any test before
    has let autograd start threads.
    """
    path = os.pathsep.join(map(str, (REPO, REPO / "tests")))
    process = subprocess.run(
        [env["PYTHON"], "-c", UNTIL],
        env={**env, "PYTHONPATH": path},
        input=pickle.dumps((run, event, kind)),
        check=False,
    )
    return process.returncode == -signal.SIGKILL


def run_until(run: Callable[[], object], event: int, kind: str) -> None:
    """Run in a process that ends at the n-th event, or says why it did not come there."""
    try:
        _kill_at(event, kind)
        run()
    except BaseException:
        # Shown beside the assertion that fails because nothing was killed.
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _kill_at(event: int, kind: str) -> None:
    """Count events in this process, and end it without any clean-up at the n-th."""
    count = itertools.count(1)

    def tick() -> None:
        if next(count) == event:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable) -> Callable:
        # A function, because a class has to bind it.
        def call(*args: object, **kwargs: object) -> object:
            tick()
            result = function(*args, **kwargs)
            tick()
            return result

        return call

    for owner, names in {os: ("fsync", "replace", "remove", "unlink"), Score: ("process",)}.items():
        for name in names:
            if kind in ("", name):
                setattr(owner, name, counted(getattr(owner, name)))


def best_files(work_dir: Path) -> list[str]:
    """Return the names of the best checkpoints of a run."""
    return sorted(path.name for path in work_dir.glob("best_*"))
