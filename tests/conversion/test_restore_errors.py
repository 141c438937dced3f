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
