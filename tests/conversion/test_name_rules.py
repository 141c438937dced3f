import pytest
import torch
from torch import nn
from torchvision.models.swin_transformer import _patch_merging_pad

from gcp_mm.conversion.name_rules import (
    CHANNEL_VECTOR,
    MERGED_PATCH,
    POSITION_PAIRS,
    Rule,
    rename_all,
)
from gcp_mm.errors import UserError

RULES = (
    Rule("stage2.{block}.branch.0.{tensor}", "layers.0.{block}.branch.conv.{tensor}"),
    Rule("head.{tensor}", "fc.{tensor}"),
    Rule("token", "backbone.token"),
)
NAMES = {
    "stage2.10.branch.0.running_mean": "layers.0.10.branch.conv.running_mean",
    "head.bias": "fc.bias",
    "token": "backbone.token",
}


def test_table_is_read_in_both_directions():
    assert rename_all(NAMES, RULES) == NAMES
    inverse = {new: old for old, new in NAMES.items()}
    assert rename_all(inverse, RULES, inverse=True) == inverse


@pytest.mark.parametrize(
    "name",
    ["stage2.x.branch.0.weight", "stage2_1.branch.0.weight", "head.a.b", "ahead.bias", "tokens"],
)
def test_name_without_a_rule(name):
    with pytest.raises(UserError, match=f"0 rules are about the tensor '{name}'"):
        rename_all(["token", name], RULES)


def test_name_with_two_rules():
    with pytest.raises(UserError, match="2 rules are about the tensor 'head.bias'"):
        rename_all(["head.bias"], (*RULES, Rule("head.bias", "bias")))


def test_two_names_for_one_place():
    rules = (Rule("a.{tensor}", "c.{tensor}"), Rule("b.{tensor}", "c.{tensor}"))
    with pytest.raises(UserError, match="'a.w' and 'b.w' would both become 'c.w'"):
        rename_all(["a.w", "b.w"], rules)


FORMS = {
    "channel vector": (CHANNEL_VECTOR, (5, 1, 1), (5,)),
    "position pairs": (POSITION_PAIRS, (49,), (7, 7)),
    "merged patch": (MERGED_PATCH, (12,), (12,)),
    "merged patches": (MERGED_PATCH, (6, 12), (6, 12)),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", [torch.Tensor.clone, nn.Parameter])
def test_there_and_back(name, kind):
    form, before, after = FORMS[name]
    tensor = kind(torch.rand(before))
    converted = form.apply(tensor)
    restored = form.apply(converted, inverse=True)
    assert converted.shape == after and converted.is_contiguous()
    assert type(restored) is type(converted) is type(tensor)
    assert restored.requires_grad == converted.requires_grad == tensor.requires_grad
    assert torch.equal(restored, tensor)


def test_patches_are_merged_as_unfold_does():
    x = torch.rand(1, 3, 2, 2)
    (source,) = _patch_merging_pad(x.permute(0, 2, 3, 1)).flatten(0, 2)
    (expected,) = nn.Unfold(2, stride=2)(x).flatten(1)
    assert not torch.equal(source, expected)
    assert torch.equal(MERGED_PATCH.apply(source), expected)
