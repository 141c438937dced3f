"""Comparing a network with a checkpoint by names and shapes."""

import pytest
import torch
from torch import nn

from gcp_mm.checkpoints.coverage import ADAPTED, Coverage, compare, weights_of, wrapper_prefix


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))


def test_own_weights_cover_everything(network):
    coverage = compare(network.state_dict(), network.state_dict())
    assert coverage.complete
    # 2 of the convolution, 4 of the batch norm (its counter is not looked at), 2 of the linear.
    assert str(coverage) == "loaded 8 of 8 tensors"
    assert coverage.details() == ""


def test_missing_mismatched_and_unused_are_told_apart(network):
    checkpoint = network.state_dict()
    del checkpoint["0.bias"]
    checkpoint["2.weight"] = torch.zeros(7, 4)
    checkpoint["fc.weight"] = torch.zeros(1)
    coverage = compare(network.state_dict(), checkpoint)
    assert not coverage.complete
    assert str(coverage) == "loaded 6 of 8 tensors"
    assert coverage.missing == ("0.bias",)
    assert coverage.mismatched == ("2.weight ((2, 4), (7, 4))",)
    assert coverage.unused == ("fc.weight",)
    assert coverage.details() == (
        "not in the file: 0.bias; other shape (network, file): 2.weight ((2, 4), (7, 4)); "
        "only in the file: fc.weight"
    )


def test_coverage_agrees_with_load_state_dict(network):
    other = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Identity(), nn.Linear(4, 2))
    coverage = compare(network.state_dict(), other.state_dict())
    keys = network.load_state_dict(other.state_dict(), strict=False)
    assert list(coverage.missing) == keys.missing_keys
    assert list(coverage.unused) == keys.unexpected_keys


def test_checkpoint_without_batch_norm_counters_is_complete(network):
    old = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    assert len(old) == len(network.state_dict()) - 1
    assert compare(network.state_dict(), old).complete


def test_what_is_no_tensor_is_not_compared(network):
    weights = {**network.state_dict(), "1._extra_state": {"count": 3}}
    for checkpoint in (weights, network.state_dict()):
        assert str(compare(weights, checkpoint)) == "loaded 8 of 8 tensors"


def test_unused_names_alone_leave_it_complete():
    assert Coverage(("a",), (), (), ("b",)).complete


@pytest.mark.parametrize(
    "name", ["backbone.pos_embed", "stages.0.w_msa.relative_position_bias_table"]
)
def test_tables_over_positions_may_have_another_size(name):
    network, checkpoint = {name: torch.zeros(1, 5, 4)}, {name: torch.zeros(1, 17, 4)}
    coverage = compare(network, checkpoint, ADAPTED)
    assert coverage.complete and str(coverage) == "loaded 1 of 1 tensors"
    assert not compare(network, checkpoint).complete
    assert not compare(network, {}, ADAPTED).complete


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["module.a", "module.b"], "module."),
        (["module.module.a", "module.module.b"], "module.module."),
        (["_orig_mod.a"], "_orig_mod."),
        (["module._orig_mod.a", "module._orig_mod.module"], "module._orig_mod."),
        (["module.module.a", "module.b"], "module."),
        (["module.a", "b"], ""),
        (["a.module.b"], ""),
        (["modules.a"], ""),
        ([], ""),
    ],
)
def test_prefix_of_wrappers(names, prefix):
    assert wrapper_prefix(names) == prefix
    inner = [name.removeprefix(prefix or "module.") for name in names]
    assert list(weights_of(dict.fromkeys(names))) == inner


def test_integers_do_not_cover_weights(network):
    """Quantised weights have the names and shapes of those that they stand for."""
    wrong = {name: tensor.to(torch.int8) for name, tensor in network.state_dict().items()}
    coverage = compare(network.state_dict(), wrong)
    assert coverage.loaded == ()
    assert "2.bias (torch.float32, torch.int8)" in coverage.mismatched
