"""A checkpoint of another network is refused before it is loaded."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from gcp_mm.engine.hooks import CheckpointCoverageHook
from gcp_mm.engine.hooks import pretrained_hooks as checkpoint_coverage_hook
from gcp_mm.errors import CheckpointMismatchError


def network(depth=2, classes=3):
    layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(depth)])
    return nn.ModuleDict({"backbone": layers, "head": nn.Linear(4, classes)})


class Wrapped(nn.parallel.DataParallel):
    """What mmengine counts as a model wrapper, without its devices."""

    def __init__(self, module):
        nn.Module.__init__(self)
        self.module = module


@pytest.fixture
def load(monkeypatch):
    """Run the hook as a runner would, and return what it logs."""

    def run(model, weights, train=False, resume=False, name="x.pth"):
        lines = []
        monkeypatch.setattr(
            checkpoint_coverage_hook, "print_log", lambda line, logger: lines.append(line)
        )
        # mmengine keeps the loop's config, also where only a test runs, until training begins.
        loop = object.__new__(EpochBasedTrainLoop) if train else {"max_epochs": 1}
        runner = SimpleNamespace(model=model, _load_from=name, _train_loop=loop, _resume=resume)
        CheckpointCoverageHook().after_load_checkpoint(runner, weights)
        return lines

    return run


RUNS = {"test": {}, "fine-tune": {"train": True}, "resume": {"train": True, "resume": True}}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("layout", ["state_dict", "bare", "module."])
def test_own_checkpoint_is_reported(load, run, layout):
    weights = network().state_dict()
    if layout == "module.":
        weights = {f"module.{key}": value for key, value in weights.items()}
    checkpoint = weights if layout == "bare" else {"state_dict": weights, "meta": {}}
    assert load(network(), checkpoint, **RUNS[run]) == ["loaded 6 of 6 tensors from x.pth"]


@pytest.mark.parametrize("run", ["test", "resume"])
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (network(depth=1), "not in the file: backbone.1.weight, backbone.1.bias"),
        (network(classes=5), r"head.weight \(\(3, 4\), \(5, 4\)\)"),
    ],
)
def test_checkpoint_of_another_network_is_refused_with_names(load, run, other, named):
    with pytest.raises(CheckpointMismatchError, match=named) as caught:
        load(network(), {"state_dict": other.state_dict()}, **RUNS[run])
    message = str(caught.value)
    assert message.startswith("x.pth does not fit the ModuleDict of this config: loaded 4 of 6")
    assert "the config that the checkpoint was trained with" in message


def test_fine_tuning_may_change_the_head_and_says_so(load):
    lines = load(network(), network(classes=5).state_dict(), train=True)
    assert lines[0] == "loaded 4 of 6 tensors from x.pth"
    assert lines[1].startswith("left at their initial values: ")
    assert "head.weight ((3, 4), (5, 4)), head.bias ((3,), (5,))" in lines[1]


@pytest.mark.parametrize("run", RUNS)
def test_checkpoint_of_which_nothing_fits_is_refused(load, run):
    weights = {f"model.{key}": value for key, value in network().state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match="loaded 0 of 6.*only in the file: model"):
        load(network(), {"state_dict": weights}, **RUNS[run])


def test_further_tensors_in_the_file_are_allowed(load):
    weights = {**network().state_dict(), "ema.steps": torch.zeros(1)}
    assert load(network(), weights) == ["loaded 6 of 6 tensors from x.pth"]


def test_network_of_a_distributed_run_is_looked_into(load):
    assert load(Wrapped(network()), network().state_dict()) == ["loaded 6 of 6 tensors from x.pth"]


def test_latest_checkpoint_is_named_as_such(load):
    with pytest.raises(CheckpointMismatchError, match="^the latest checkpoint does not fit"):
        load(network(), network(depth=1).state_dict(), name=None, **RUNS["resume"])
