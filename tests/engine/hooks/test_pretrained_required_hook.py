"""Fine-tuning from anything but a whole backbone is refused, and nothing else is."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from gcp_mm.engine.hooks import PretrainedRequiredHook
from gcp_mm.engine.hooks import pretrained_hooks as pretrained_required_hook
from gcp_mm.errors import CheckpointMismatchError, UserError


def network(depth=2, classes=3):
    backbone = nn.Sequential(*[nn.Linear(4, 4) for _ in range(depth)])
    return nn.ModuleDict({"backbone": backbone, "head": nn.Linear(4, classes)})


def runner(model=None, train=True, resume=False, **cfg):
    # mmengine keeps the loop's config, also where only a test runs, until training begins.
    loop = object.__new__(EpochBasedTrainLoop) if train else {"max_epochs": 1}
    cfg = Config(dict(model=dict(backbone=dict(type="X")), work_dir="/no/such", **cfg))
    return SimpleNamespace(
        model=model, cfg=cfg, _train_loop=loop, _resume=resume, _load_from="x.pth"
    )


@pytest.fixture
def load(monkeypatch):
    """Run the hook as a runner that loads would, and return what it logs."""
    lines = []
    monkeypatch.setattr(
        pretrained_required_hook, "print_log", lambda line, logger: lines.append(line)
    )

    def run(model, weights, **how):
        # A module dictionary has no attributes for its parts, which the networks have.
        model.backbone = model["backbone"]
        PretrainedRequiredHook().after_load_checkpoint(runner(model, **how), weights)
        return lines

    return run


def test_only_training_needs_weights():
    PretrainedRequiredHook().before_run(runner(train=False))
    with pytest.raises(UserError, match="load_from is empty"):
        PretrainedRequiredHook().before_run(runner())
    without_config = runner()
    without_config.cfg = Config({})
    PretrainedRequiredHook().before_run(without_config)


@pytest.mark.parametrize("other", [network(), network(classes=7)])
def test_whole_backbone_is_reported(load, other):
    assert load(network(), {"state_dict": other.state_dict()}) == [
        "loaded 4 of 4 tensors of the backbone from x.pth"
    ]


WRONG = {
    "only the head": (
        {"head.weight": torch.zeros(3, 4)},
        "loaded 0 of 4 .* not in the file: backbone.0.weight",
    ),
    "less deep": (network(depth=1).state_dict(), "loaded 2 of 4 .*: backbone.1.weight"),
    "deeper": (network(depth=3).state_dict(), "loaded 4 of 4 .* only in the file: backbone.2"),
    "other shape": (
        {**network().state_dict(), "backbone.1.bias": torch.zeros(5)},
        r"loaded 3 of 4 .* backbone.1.bias \(\(4,\), \(5,\)\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_anything_else_is_refused_with_names(load, case):
    weights, named = WRONG[case]
    with pytest.raises(CheckpointMismatchError, match=named) as caught:
        load(network(), {"state_dict": weights})
    message = str(caught.value)
    assert message.startswith("x.pth does not hold the Sequential that this config fine-tunes")
    assert "tools/convert_checkpoint.py SRC DST" in message


@pytest.mark.parametrize("how", [dict(train=False), dict(resume=True)])
def test_evaluation_and_resuming_are_left_to_the_coverage_hook(load, how):
    assert load(network(), {"state_dict": {}}, **how) == []
