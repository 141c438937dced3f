"""Converted files that were changed since, or that something else wrote."""

import pytest
import torch

from gcp_mm.conversion import convert, restore
from gcp_mm.errors import UserError


def forget(*path):
    def change(content):
        *parents, last = path
        for part in parents:
            content = content[part]
        del content[last]

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (forget("legacy"), "not written by this converter.*legacy"),
        (forget("meta"), "not written by this converter.*meta"),
        (forget("meta", "conversion", "triangle_order"), "triangle_order"),
        (
            forget("state_dict", "neck.reduce.bn.bias"),
            "the file: dimension_reduction.1.bias",
        ),
        (
            lambda content: content["meta"]["conversion"]["architecture"].update(num_classes=9),
            "says .*, 9 classes, but the weights are .*, 7 classes",
        ),
        (
            lambda content: content["state_dict"].update({"head.extra": torch.ones(1)}),
            "0 rules are about the tensor 'head.extra'",
        ),
    ],
)
def test_file_that_cannot_be_restored(state_dict, change, named):
    content = convert(state_dict()).checkpoint()
    change(content)
    with pytest.raises(UserError, match=named):
        restore(content)


@pytest.mark.parametrize("odd", [None, 0, [3], {1: 2}], ids=str)
def test_entries_of_another_form(state_dict, odd):
    """Each entry in turn; what is right by chance, such as no metadata, restores."""
    places = [("meta",), ("legacy",), ("state_dict",), ("meta", "conversion"), ("legacy", "layout")]
    whole = convert(state_dict()).checkpoint()
    places += [("meta", "conversion", name) for name in whole["meta"]["conversion"]]
    places += [("legacy", "layout", name) for name in whole["legacy"]["layout"]]
    places += [
        ("meta", "conversion", "architecture", name)
        for name in whole["meta"]["conversion"]["architecture"]
    ]
    refused = 0
    for *parents, last in places:
        content = convert(state_dict()).checkpoint()
        part = content
        for name in parents:
            part = part[name]
        part[last] = odd
        try:
            restore(content)
        except UserError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert refused >= 9
