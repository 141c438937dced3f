"""What is no state dict, said the same way at every door."""

from collections import OrderedDict

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from torch import nn

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints.form import check_form, check_training, find_not_finite
from gcp_mm.errors import UserError

GOOD = {"w": torch.ones(2)}
FORMS = {
    "a list": ([torch.ones(1)], "holds a list instead of a dict"),
    "a number": (3, "holds a int instead of a dict"),
    "nothing": (None, "holds a NoneType"),
    "a tensor": (torch.ones(2), "holds a Tensor"),
    "no entries": ({}, "is a dict without entries"),
    "an empty state dict": ({"state_dict": OrderedDict()}, "OrderedDict without entries"),
    "a list of weights": ({"state_dict": [torch.ones(1)]}, "its state_dict is a list"),
    "no weights": ({"state_dict": None}, "its state_dict is a NoneType"),
    "numbers": ({"state_dict": {"w": 1.5}}, "the entry 'w' is a float of its state_dict"),
    "nested": ({"state_dict": {"w": {"x": torch.ones(1)}}}, "the entry 'w' is a dict"),
    "names that are numbers": ({"state_dict": {0: torch.ones(1)}}, "the entry 0 is a Tensor"),
    "another name": (
        {"epoch": 3, "model": GOOD, "ema": GOOD},
        "the entry 'epoch' is a int. Tensors by name are in 'model', 'ema'",
    ),
    "meta of another form": ({"state_dict": GOOD, "meta": None}, "'meta' is a NoneType"),
    "message_hub of another form": ({"state_dict": GOOD, "message_hub": [1]}, "'message_hub'"),
}
TENSORS = {
    "meta": (lambda: torch.ones(2, device="meta"), "on the meta device"),
    "sparse": (lambda: torch.eye(3).to_sparse(), "a tensor of the layout torch.sparse_coo"),
    "csr": (lambda: torch.eye(3).to_sparse_csr(), "a tensor of the layout torch.sparse_csr"),
    "repeated": (
        lambda: torch.ones(1).expand(1 << 40),
        "of the shape (1099511627776,), for which it has 4 bytes",
    ),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), "complex"),
    "quantised": (
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "quantised",
    ),
}


def refused(tmp_path, content, reason):
    path = str(tmp_path / "odd.pth")
    torch.save(content, path)
    with pytest.raises(UserError) as caught:
        load_checkpoint(nn.Linear(1, 1), path, map_location="cpu")
    message = str(caught.value)
    assert path in message
    assert reason in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_other_form_is_refused(tmp_path, form):
    refused(tmp_path, *FORMS[form])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("kind", TENSORS)
def test_tensor_that_is_no_weight_is_refused(tmp_path, kind, bare):
    make, reason = TENSORS[kind]
    weights = {"a": torch.ones(1), "odd.weight": make()}
    refused(tmp_path, weights if bare else {"state_dict": weights}, f"'odd.weight' is {reason}")


def test_small_tensor_may_repeat_its_numbers(tmp_path):
    torch.save({"w": torch.ones(1).expand(9)}, tmp_path / "x.pth")
    assert CheckpointLoader.load_checkpoint(str(tmp_path / "x.pth"))["w"].sum() == 9


def test_what_modules_put_beside_their_weights_is_kept(tmp_path):
    class Counting(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)
            self.count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

        def forward(self):
            return None

    one, other = Counting(), Counting()
    one.count = 3
    torch.save({"state_dict": one.state_dict()}, tmp_path / "x.pth")
    load_checkpoint(other, str(tmp_path / "x.pth"))
    assert other.count == 3


def test_names_and_shapes_alone(tmp_path):
    torch.save(GOOD, tmp_path / "x.pth")
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "x.pth"), "meta")
    assert loaded["w"].is_meta
    assert check_form(GOOD, "x") is GOOD


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_what_is_not_finite_in_every_kind_of_numbers(dtype):
    tensors = {"bad": torch.tensor([1, torch.nan]).to(dtype), "good": torch.ones(2).to(dtype)}
    tensors["count"] = torch.tensor(3)
    assert find_not_finite(tensors, [*tensors, "absent"]) == ["bad"]


INFO = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
TRAINED = {"state_dict": GOOD, "meta": {"epoch": 3, "iter": 9}, "message_hub": INFO}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"meta": {"iter": 9}}, "meta.epoch"),
        ({"meta": {"epoch": 3, "iter": "9"}}, "meta.iter"),
        ({"meta": None}, "meta"),
        ({"message_hub": {**INFO, "log_scalars": []}}, "message_hub.log_scalars"),
        ({"message_hub": {**INFO, "runtime_info": 3}}, "message_hub.runtime_info"),
        ({"optimizer": [1]}, "optimizer"),
    ],
)
def test_training_that_cannot_be_continued(change, named):
    check_training(TRAINED, "epoch_3.pth")
    with pytest.raises(UserError, match=f"'epoch_3.pth' cannot be continued: its entry '{named}'"):
        check_training({**TRAINED, **change}, "epoch_3.pth")


@pytest.mark.parametrize("described", [3, [], {"classes": 3}, {"classes": "cat"}, {"classes": [3]}])
def test_names_of_classes_of_another_form(described):
    with pytest.raises(UserError, match=r"'meta.dataset_meta' has to be a dict"):
        check_form({**TRAINED, "meta": {"dataset_meta": described}}, "x.pth")


def test_prefixes_of_wrappers_are_taken_off(tmp_path):
    for prefix in ("_orig_mod.", "module.module.", "module._orig_mod."):
        weights = {f"{prefix}{name}": t for name, t in nn.Linear(1, 1).state_dict().items()}
        for content in (weights, {"state_dict": weights}):
            torch.save(content, tmp_path / "x.pth")
            loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "x.pth"))
            assert list(loaded.get("state_dict", loaded)) == ["weight", "bias"]
