"""A small GCP classifier with weights in a file."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from random_weights import randomise


@pytest.fixture(scope="session")
def cfg(classifier) -> Config:
    """Return the config of the classifier of `class_folders`."""
    return Config.fromfile(classifier)


@pytest.fixture(scope="session")
def checkpoint(cfg, tmp_path_factory) -> Path:
    """Return a checkpoint of that classifier with random weights."""
    from mmpretrain.registry import MODELS

    import gcp_mm.registry  # noqa: F401  (its models)

    network = randomise(MODELS.build(dict(cfg.model)))
    path = tmp_path_factory.mktemp("checkpoint") / "epoch_1.pth"
    torch.save({"meta": {"epoch": 1, "iter": 4}, "state_dict": network.state_dict()}, path)
    return path
