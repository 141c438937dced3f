"""Nested data with tensors, through JSON and back."""

import json
import pathlib
from collections import OrderedDict

import pytest
import torch
from torch import nn

from gcp_mm.checkpoints.tensor_tree import decode, encode
from gcp_mm.errors import UserError


def there_and_back(value, inline=True):
    tensors = {}
    text = json.dumps(encode(value, tensors, "x", inline))
    left = set(tensors)
    found = decode(json.loads(text), tensors, left)
    assert left == set()
    return found, tensors


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -0.1,
        "a text",
        [],
        (),
        {},
        [1, (2.5, "x", [None, ()])],
        {"a": {"b": [1]}, 140: (1,), 2.5: None, (1, "k"): "v", False: 0, None: 1},
        {"$tensor": "no tensor", "$items": []},
        {"b": 1, "a": 2},
        float("inf"),
    ],
)
def test_plain_data_come_back_with_their_types(value):
    found, tensors = there_and_back(value)
    assert repr(found) == repr(value)
    assert tensors == {}


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(12.5),
        torch.tensor([[0.1]], dtype=torch.float64),
        torch.tensor(0.1, dtype=torch.bfloat16),
        torch.tensor(2**60 + 1),
        torch.tensor([True]),
        torch.tensor(1 + 2j),
        torch.arange(6.0).reshape(2, 3),
        torch.empty(0, 3),
    ],
    ids=str,
)
def test_tensors(tensor, inline):
    found, tensors = there_and_back({"a": [tensor]}, inline)
    assert found["a"][0].dtype == tensor.dtype
    assert torch.equal(found["a"][0], tensor)
    assert tensors == {} or list(tensors) == ["x/a/0"]


def test_one_number_needs_no_place_in_the_file():
    assert there_and_back(torch.tensor(12.5))[1] == {}
    assert there_and_back(torch.tensor(float("nan")))[0].isnan()
    assert list(there_and_back(torch.tensor(12.5), inline=False)[1]) == ["x"]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameters(requires_grad):
    value = nn.Parameter(torch.ones(2), requires_grad)
    found = there_and_back([value])[0][0]
    assert type(found) is nn.Parameter
    assert found.requires_grad is requires_grad
    assert torch.equal(found, value)


def test_ordered_dict_keeps_its_order_and_the_versions_of_modules():
    value = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)).state_dict()
    found, tensors = there_and_back(value, inline=False)
    assert type(found) is OrderedDict
    assert list(found) == list(value)
    assert found._metadata == value._metadata
    assert found._metadata["0"] == {"version": 2}
    assert set(tensors) == {f"x/{name}" for name in value}


def test_other_objects_are_refused():
    with pytest.raises(UserError, match="'x/meta/1' is a pathlib.*write a .pth"):
        encode({"meta": [1, pathlib.PurePosixPath("a")]}, {}, "x")


def test_two_tensors_of_one_name_are_refused():
    with pytest.raises(UserError, match="two tensors of the file would be called 'x/a/b'"):
        encode({"a/b": torch.ones(2), "a": {"b": torch.ones(2)}}, {}, "x")


@pytest.mark.parametrize(
    "data",
    [
        {"$tensor": "absent"},
        {"$tensor": ["x"]},
        {"$number": 1, "dtype": "load", "shape": []},
        {"$number": [1, 2], "dtype": "float32", "shape": [3]},
        {"$import": "os"},
        {"$items": 3},
        {"$items": [[1]]},
        {"$items": [[[], 1]]},
        {"$parameter": 3, "requires_grad": True},
    ],
)
def test_foreign_data_are_refused(data):
    with pytest.raises((LookupError, TypeError, ValueError, RuntimeError, AttributeError)):
        decode(data, {}, set())
