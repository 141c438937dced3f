"""Images that are too small for a covariance are named at the first batch."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gcp_mm.engine.hooks import FeatureMapCheckHook
from gcp_mm.engine.hooks import model_checks as feature_map_check_hook
from gcp_mm.models.classification import GlobalCovariancePooling


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.neck = GlobalCovariancePooling(in_channels=4, reduced_channels=2, num_extra_tokens=1)


@pytest.fixture
def lines(monkeypatch):
    found = []
    monkeypatch.setattr(
        feature_map_check_hook, "print_log", lambda line, logger, level: found.append(line)
    )
    return found


def run(features, mode="train", batches=2, compiled=False):
    hook = FeatureMapCheckHook()
    runner = SimpleNamespace(model=Network(), cfg={"compile": compiled})
    batch = {"inputs": [torch.zeros(3, 32, 48)]}
    for index in range(batches):
        getattr(hook, f"before_{mode}_iter")(runner, index, batch)
        runner.model.neck(features)
        getattr(hook, f"after_{mode}_iter")(runner, index, batch, {})
    assert not runner.model.neck._forward_pre_hooks
    return runner


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize(
    ("features", "shape"), [(torch.rand(2, 4, 1, 1), "1 x 1"), (torch.rand(2, 2, 4), "1")]
)
def test_one_position_is_warned_of_once(lines, mode, features, shape):
    runner = run(features, mode)
    assert len(lines) == 1
    assert lines[0].startswith(f"images of 32 x 48 pixels leave a feature map of {shape}: the cov")
    # It is as the line says.
    assert not runner.model.neck(features)[0].any()


@pytest.mark.parametrize("features", [torch.rand(2, 4, 1, 2), (torch.rand(2, 3, 4),)])
def test_two_positions_are_enough(lines, features):
    run(features)
    assert lines == []


def test_compiled_network_is_left_alone(lines):
    run(torch.rand(2, 4, 1, 1), compiled=True)
    assert lines == []


def test_network_without_pooling_passes(lines):
    runner = SimpleNamespace(model=nn.Linear(1, 1), cfg={})
    hook = FeatureMapCheckHook()
    hook.before_train_iter(runner, 0, {})
    hook.after_train_iter(runner, 0, {}, {})
    assert lines == []
