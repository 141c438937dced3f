"""The weights of a trained checkpoint alone."""

import hashlib
import json
import struct
from collections import OrderedDict

import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.conversion import convert_file, extract_weights, restore_file
from gcp_mm.errors import UserError

pytest.importorskip("safetensors")


@pytest.fixture(params=["pth", "safetensors"])
def target(request, tmp_path):
    return tmp_path / f"new folder/a.{request.param}"


@pytest.fixture
def trained(tmp_path):
    """Return a checkpoint as mmengine saves it while it trains, and its path."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    content = {
        "meta": {
            "epoch": 3,
            "cfg": "model = dict(type='X')",
            "dataset_meta": {"classes": ("a", "b"), "palette": [(1, 2, 3)]},
            "loss": HistoryBuffer([1.0], [1]),
        },
        "state_dict": model.state_dict(),
        "message_hub": {"log_scalars": {"loss": HistoryBuffer([1.0], [1])}},
        "optimizer": optimizer.state_dict(),
    }
    path = tmp_path / "epoch_3.pth"
    torch.save(content, path)
    return content, path


def test_trained_checkpoint(trained, target, same):
    content, path = trained
    report = str(extract_weights(path, target))
    found = load_from_file(target)
    assert list(found) == ["meta", "state_dict"]
    assert same(found["state_dict"], content["state_dict"])
    origin = found["meta"].pop("weights_of")
    assert origin["source"] == "epoch_3.pth"
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert same(found["meta"], {k: v for k, v in content["meta"].items() if k != "loss"})
    assert "dropped: meta.loss, message_hub, optimizer" in report
    assert f"weights: {len(content['state_dict'])} tensors" in report


def test_file_of_torch_loads_with_nothing_allowed(trained, tmp_path):
    extract_weights(trained[1], tmp_path / "a.pth")
    torch.load(tmp_path / "a.pth", weights_only=True)


def test_bare_state_dict_stays_one(target, tmp_path):
    weights = OrderedDict(b=torch.ones(2), a=torch.tensor(3))
    torch.save(weights, tmp_path / "w.pth")
    extract_weights(tmp_path / "w.pth", target)
    found = load_from_file(target)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


def test_what_is_no_tensor_of_a_state_dict_is_not_lost(tmp_path):
    weights = {"w": torch.ones(2), "bn._extra_state": {"count": 3}}
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"no tensors: bn\._extra_state; .* write a \.pth"):
        extract_weights(tmp_path / "w.pth", tmp_path / "a.safetensors")
    extract_weights(tmp_path / "w.pth", tmp_path / "a.pth")
    assert load_from_file(tmp_path / "a.pth")["bn._extra_state"] == {"count": 3}
    torch.save({"state_dict": weights}, tmp_path / "w.pth")
    extract_weights(tmp_path / "w.pth", tmp_path / "a.safetensors")
    found = load_from_file(tmp_path / "a.safetensors")["state_dict"]
    assert found["bn._extra_state"] == {"count": 3}


def test_converted_file_keeps_its_way_back(legacy, same, target, tmp_path):
    torch.save(legacy(), tmp_path / "a.pth.tar")
    convert_file(tmp_path / "a.pth.tar", tmp_path / "converted.pth", keep_optimizer=True)
    assert "dropped: legacy.optimizer" in str(extract_weights(tmp_path / "converted.pth", target))
    restore_file(target, tmp_path / "back.pth.tar")
    expected = legacy()
    del expected["optimizer"]
    assert same(load_from_file(tmp_path / "back.pth.tar"), expected)


def test_not_finite_weights_are_asked_for(target, tmp_path):
    torch.save({"w": torch.tensor([1, torch.nan])}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="NaN or infinity in w of .*--allow-non-finite"):
        extract_weights(tmp_path / "w.pth", target)
    assert not target.parent.exists()
    report = extract_weights(tmp_path / "w.pth", target, allow_non_finite=True)
    assert "warning: NaN or infinity in w" in str(report)
    assert load_from_file(target)["w"].isnan().tolist() == [False, True]


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {}}, {"meta": {}, "epoch": 1}])
def test_file_without_weights(content, target, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w.pth'.*model.state_dict\(\)"):
        extract_weights(tmp_path / "w.pth", target)


def test_destination_is_protected(trained, target):
    path = trained[1]
    assert "was not written" in str(extract_weights(path, target, dry_run=True))
    assert not target.parent.exists()
    extract_weights(path, target)
    with pytest.raises(UserError, match="exists; --force replaces it"):
        extract_weights(path, target)
    extract_weights(path, target, force=True)
    with pytest.raises(UserError, match="the same file"):
        extract_weights(path, path, force=True)


def test_converter_points_here(trained, target):
    with pytest.raises(UserError, match="checkpoint of mmengine already: --weights-only"):
        convert_file(trained[1], target)


def test_names_of_a_wrapped_model_lose_the_wrapper(trained, target):
    """mmengine's FlexibleRunner saves ``module.0.weight`` in several processes."""
    content, path = trained
    wrapped = {f"module.{name}": tensor for name, tensor in content["state_dict"].items()}
    torch.save({**content, "state_dict": wrapped}, path)
    assert "names without 'module.'" in str(extract_weights(path, target))
    assert list(load_from_file(target)["state_dict"]) == list(content["state_dict"])


@pytest.mark.parametrize("entries", [{"meta": [1]}, {"legacy": "x"}, {"meta": None, "legacy": []}])
def test_entries_of_another_form_stay_behind(trained, target, entries):
    content, path = trained
    torch.save({**content, **entries}, path)
    extract_weights(path, target)
    assert list(load_from_file(target)) == ["meta", "state_dict"]


def test_header_whose_length_begins_like_a_page(tmp_path):
    """15392 bytes, as some hundred tensors have: a blank and an angle bracket, read as a text."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"w": entry}).encode().ljust(0x3C20)
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    extract_weights(path, tmp_path / "b.safetensors")
    assert load_from_file(tmp_path / "b.safetensors")["w"].tolist() == [0]
