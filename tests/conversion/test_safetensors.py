"""The converter reads and writes safetensors as it does torch's files."""

import pytest
import torch

from gcp_mm.conversion import convert_file, restore_file
from gcp_mm.conversion.convert_file import read_source, write_checkpoint
from gcp_mm.errors import UserError

library = pytest.importorskip("safetensors.torch")


@pytest.fixture
def source(legacy, tmp_path):
    path = tmp_path / "published.pth.tar"
    torch.save(legacy(), path)
    return path


def test_both_formats_hold_the_same(source, same, tmp_path):
    for suffix in ("pth", "safetensors"):
        convert_file(source, tmp_path / f"a.{suffix}", order="column", keep_optimizer=True)
    expected = torch.load(tmp_path / "a.pth", weights_only=True)
    assert same(read_source(tmp_path / "a.safetensors"), expected)
    # The weights are there for every program, under mmpretrain's names.
    found = library.load_file(tmp_path / "a.safetensors")
    weights = expected["state_dict"]
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert found.keys() - weights.keys() == {"legacy/optimizer/state/140/momentum_buffer"}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("suffixes", [("safetensors", "pth.tar"), ("safetensors", "safetensors")])
def test_way_back(source, legacy, same, tmp_path, keep, suffixes):
    target, back = tmp_path / f"a.{suffixes[0]}", tmp_path / f"b.{suffixes[1]}"
    convert_file(source, target, keep_optimizer=keep)
    report = restore_file(target, back)
    expected = legacy()
    if not keep:
        del expected["optimizer"]
    assert same(read_source(back), expected)
    assert "source of the weights: published.pth.tar (sha256 " in str(report)


def test_without_the_optimizer_only_the_weights_are_tensors(source, tmp_path):
    convert_file(source, tmp_path / "a.safetensors")
    found = library.load_file(tmp_path / "a.safetensors")
    assert found.keys() == read_source(tmp_path / "a.safetensors")["state_dict"].keys()


def test_source_of_another_program(state_dict, same, tmp_path):
    weights = state_dict()
    library.save_file(weights, tmp_path / "a.safetensors")
    torch.save(weights, tmp_path / "a.pth")
    for suffix in ("pth", "safetensors"):
        convert_file(tmp_path / f"a.{suffix}", tmp_path / f"b_{suffix}.pth")
    of_pth, of_safetensors = (
        torch.load(tmp_path / f"b_{suffix}.pth", weights_only=True)["state_dict"]
        for suffix in ("pth", "safetensors")
    )
    assert of_pth.keys() == of_safetensors.keys()
    assert all(torch.equal(of_safetensors[name], tensor) for name, tensor in of_pth.items())
    restore_file(tmp_path / "b_safetensors.pth", tmp_path / "c.safetensors")
    back = library.load_file(tmp_path / "c.safetensors")
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


def test_parameters_of_old_files(state_dict, same, tmp_path):
    weights = {
        name: torch.nn.Parameter(tensor) if name.endswith("weight") else tensor
        for name, tensor in state_dict().items()
    }
    torch.save(weights, tmp_path / "a.pth")
    convert_file(tmp_path / "a.pth", tmp_path / "b.safetensors")
    restore_file(tmp_path / "b.safetensors", tmp_path / "c.pth")
    assert same(torch.load(tmp_path / "c.pth", weights_only=True), weights)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_failed_write_leaves_the_old_file(tmp_path, name, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / name
    path.write_text("old")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match=f"{name}' cannot be written: No space left"):
        write_checkpoint({"state_dict": {"w": torch.ones(2)}}, path)
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_address_is_no_destination(source):
    with pytest.raises(UserError, match="'hf://owner/net/a.safetensors' is an address"):
        convert_file(source, "hf://owner/net/a.safetensors")
