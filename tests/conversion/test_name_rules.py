import pytest

from gcp_mm.conversion.name_rules import Rule, rename_all
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
