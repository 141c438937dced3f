import pytest
import torch

from gcp_mm.conversion.layout import check_plain, unwrap
from gcp_mm.errors import UserError

ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (ONE, "the checkpoint holds a Tensor instead of a dict: save model.state_dict"),
        ([ONE], "holds a list"),
        ({}, "is a dict without entries"),
        ({"state_dict": {}}, "state_dict is a dict without entries"),
        ({"state_dict": ONE}, "state_dict is a Tensor, expected tensors by name"),
        ({"w": ONE.to_sparse()}, "'w' is a tensor of the layout torch.sparse_coo"),
        (
            {"state_dict": {"w": ONE}, "scheduler": {}, "ema": 1},
            "besides epoch.*: scheduler, ema",
        ),
        ({"w": ONE, "model": {"w": ONE}}, "'model' is a dict. Tensors by name are in 'model'"),
        ({"w": ONE, 3: ONE}, "the entry 3 is a Tensor"),
        ({"w": ONE, "bn._extra_state": {"count": 3}}, r"no tensors: bn\._extra_state"),
        ({"module.w": ONE, "v": ONE}, "'module.' and others do not, for example 'module.w'"),
        ({"state_dict": {"w": ONE}, "epoch": {3}}, "entry 'epoch' is a builtins.set"),
    ],
)
def test_what_is_not_a_checkpoint(content, named):
    with pytest.raises(UserError, match=named):
        unwrap(content)


def test_entry_that_holds_itself():
    held = {}
    held["x"] = [held]
    with pytest.raises(UserError, match=r"entry 'epoch\.x\.0\.x.* holds itself"):
        unwrap({"state_dict": {"w": ONE}, "epoch": held})


def test_place_of_what_a_safe_file_cannot_hold():
    check_plain({"a": [1, 2.0, "b", None, True, ONE, {3: ()}]})
    with pytest.raises(UserError, match=r"entry 'optimizer\.state\.1\.x' is a torch\.device"):
        check_plain({"state": [0, {"x": torch.device("cpu")}]}, "optimizer")
