"""What the tests of training start from, as small as they come."""

from pathlib import Path

import pytest
from mmengine.model import BaseModel
from suite import made_once
from tiny_runs import SMOOTH_CLASSIFIER, forget_runs, write_config
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import train

PROBED = """
_base_ = '{classifier}'
custom_hooks = [*_base_.custom_hooks, dict(
    type='gcp_mm.LandscapeHook', interval=1, at='backbone.downsample_layers.0', etas=[10, 100],
    batch_norm='eval', rescale=8)]
"""


class Regression(BaseModel):
    """Fit a line."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x: Tensor, y: Tensor, mode: str) -> dict[str, Tensor]:
        """Return the loss."""
        return {"loss": (self.linear(x)[:, 0] - y).square().mean()}


@pytest.fixture(scope="session")
def smooth_classifier(classifier, tmp_path_factory) -> Path:
    """Return the config of a classifier whose gradients have no jumps."""
    path = tmp_path_factory.mktemp("smooth") / "smooth_gcp.py"
    return write_config(path, SMOOTH_CLASSIFIER, classifier=classifier)


@pytest.fixture(scope="session")
def probed_classifier(smooth_classifier, tmp_path_factory) -> Path:
    """Return its config with a probe of the landscape in each step; it has no batch norm."""
    path = tmp_path_factory.mktemp("probed") / "tiny.py"
    return write_config(path, PROBED, classifier=smooth_classifier)


@pytest.fixture(scope="session")
def trained_by_one(probed_classifier, tmp_path_factory) -> Path:
    """Return the work folder of a training in this process."""

    def run():
        work_dir = tmp_path_factory.mktemp("by_one")
        train(load_config(str(probed_classifier), work_dir=str(work_dir)))
        forget_runs()
        return work_dir

    return made_once(tmp_path_factory, "trained_by_one", run)


@pytest.fixture(scope="session")
def trained_by_two(run_loaded, probed_classifier, tmp_path_factory) -> Path:
    """Return the work folder of two processes with half the batch each."""

    def launch():
        work_dir = tmp_path_factory.mktemp("by_two")
        process = run_loaded(
            *("bash", "tools/dist_train.sh", probed_classifier, 2, "--work-dir", work_dir),
            *("--cfg-options", "train_dataloader.batch_size=2"),
        )
        assert process.returncode == 0, process.stderr
        return work_dir

    return made_once(tmp_path_factory, "trained_by_two", launch)
