"""The checkpoint of a training, as small as it comes, and a server of files."""

from pathlib import Path

import pytest
import torch
from engine.conftest import Regression
from local_server import serving_files
from mmengine.runner import Runner
from tiny_runs import forget_runs

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)


@pytest.fixture(scope="session")
def training_checkpoint(tmp_path_factory) -> Path:
    """Return the last checkpoint of a short run of mmengine's own Runner."""
    folder = tmp_path_factory.mktemp("regression")
    data = [(torch.full((2,), float(i)), float(i)) for i in range(4)]
    Runner(
        model=Regression(),
        work_dir=str(folder),
        train_dataloader={
            "dataset": data,
            "batch_size": 2,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
        param_scheduler={"type": "MultiStepLR", "milestones": [1]},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        experiment_name="regression",
    ).train()
    forget_runs()
    return folder / "epoch_2.pth"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """See :func:`local_server.serving_files`; what comes goes into an empty folder."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    with serving_files(monkeypatch) as listener:
        yield listener


@pytest.fixture
def cached(tmp_path):
    """Return a function that lists what was downloaded."""
    return lambda: [path.name for path in tmp_path.rglob("hub/**/*") if path.is_file()]
