"""What the tests of training start from, as small as they come."""

from pathlib import Path

import pytest
from mmengine.model import BaseModel
from tiny_runs import SMOOTH_CLASSIFIER, write_config
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)


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
