"""Checkpoints as safetensors: what comes back, what is refused, and what is said about it."""

import json
import struct
import sys
from collections import OrderedDict

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints.safetensors_file import safetensors_bytes
from gcp_mm.errors import CheckpointNotFoundError, UserError

library = pytest.importorskip("safetensors.torch")


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def load(path, map_location="cpu"):
    return CheckpointLoader.load_checkpoint(str(path), map_location)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def header(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


def with_header(path, changed):
    """Write another header before the same numbers."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    text = json.dumps(changed).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_checkpoint_comes_back_whole(path):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, 3, 3, 3)).sum().backward()
    optimizer.step()
    content = {
        "meta": {"epoch": 3, "conversion": {"row": "a_row", "triangle_order": "row"}},
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": torch.tensor(0.1),
    }
    path.write_bytes(safetensors_bytes(content))
    loaded = load(path)
    assert list(loaded) == list(content)
    assert loaded["meta"] == content["meta"]
    assert torch.equal(loaded["best"], content["best"])
    assert list(loaded["state_dict"]) == list(content["state_dict"])
    assert loaded["state_dict"]["1.num_batches_tracked"].shape == ()
    assert loaded["state_dict"]["1.num_batches_tracked"].item() == 1
    for name, tensor in content["state_dict"].items():
        assert torch.equal(loaded["state_dict"][name], tensor)
    other = torch.optim.SGD(network().parameters(), lr=1)
    other.load_state_dict(loaded["optimizer"])
    assert other.param_groups[0]["lr"] == 0.1
    momentum = optimizer.state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(other.state_dict()["state"][0]["momentum_buffer"], momentum)


def test_other_programs_find_the_weights(path):
    weights = network().state_dict()
    path.write_bytes(safetensors_bytes({"meta": {"epoch": 3}, "state_dict": weights}))
    found = library.load_file(path)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert header(path)["__metadata__"]["format"] == "pt"
    assert json.loads(header(path)["__metadata__"]["meta"]) == {"epoch": 3}
    network().load_state_dict(found)


def test_file_of_another_program_is_a_state_dict(path):
    weights = dict(network().state_dict())
    library.save_file(weights, path, {"format": "pt", "meta": "not JSON", "epoch": "3"})
    loaded = load(path)
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_bare_state_dict_is_written_as_other_programs_do(path):
    weights = network().state_dict()
    path.write_bytes(safetensors_bytes(weights))
    assert header(path)["__metadata__"].keys() == {"format", "gcp_mm.crc32"}
    assert load(path).keys() == weights.keys()


def test_memory_may_be_shared_and_strided(path):
    base = torch.arange(24.0).reshape(4, 6)
    weights = {"a": base, "tied": base, "row": base[1], "turned": base.T, "every": base[:, ::2]}
    path.write_bytes(safetensors_bytes({"state_dict": weights}))
    loaded = load(path)["state_dict"]
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
    assert loaded["a"].data_ptr() != loaded["tied"].data_ptr()


def test_loaded_tensors_do_not_depend_on_the_file(path):
    path.write_bytes(safetensors_bytes({"w": torch.ones(5000)}))
    loaded = load(path)
    with path.open("r+b") as file:
        file.truncate(10)
    assert loaded["w"].sum() == 5000
    loaded["w"] += 1


@pytest.mark.parametrize(
    ("map_location", "device"),
    [
        (None, "cpu"),
        ("cpu", "cpu"),
        ("meta", "meta"),
        (torch.device("meta"), "meta"),
        ({"cpu": "meta"}, "meta"),
        ({"cuda:0": "meta"}, "cpu"),
        (lambda storage, location: storage, "cpu"),
        (lambda storage, location: None, "cpu"),
    ],
)
def test_map_location_means_what_it_means_to_torch(path, tmp_path, map_location, device):
    content = {"state_dict": {"w": torch.ones(2)}, "best": torch.ones(2)}
    path.write_bytes(safetensors_bytes(content))
    torch.save(content, tmp_path / "net.pth")
    for file in (path, tmp_path / "net.pth"):
        loaded = load(file, map_location)
        assert {loaded["state_dict"]["w"].device.type, loaded["best"].device.type} == {device}


def test_map_location_may_hold_devices(path):
    """As mmengine and scripts write it, although torch takes texts alone in such a mapping."""
    path.write_bytes(safetensors_bytes({"state_dict": {"w": torch.ones(2)}}))
    loaded = load(path, {"cpu": torch.device("meta")})
    assert loaded["state_dict"]["w"].device.type == "meta"


def _overlap(path):
    changed = header(path)
    changed["w"]["data_offsets"] = changed["v"]["data_offsets"]
    with_header(path, changed)


def _kind(path, kind):
    changed = header(path)
    changed["w"]["dtype"] = kind
    with_header(path, changed)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "its first bytes": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "all but its end": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "more than its end": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "a long header": lambda path: path.write_bytes(struct.pack("<Q", 2**40) + b"{}" * 50),
    "a length like a page": lambda path: path.write_bytes(struct.pack("<Q", 0x3C20) + b"{"),
    "no JSON": lambda path: path.write_bytes(struct.pack("<Q", 4) + b"{,,}"),
    "overlap": _overlap,
    "another type": lambda path: _kind(path, "F64"),
    "an unknown type": lambda path: _kind(path, "F33"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_named_with_its_size(path, damage):
    path.write_bytes(safetensors_bytes({"w": torch.ones(9), "v": torch.ones(9)}))
    DAMAGE[damage](path)
    with pytest.raises(UserError, match="truncated or not a safetensors file") as caught:
        load(path)
    assert f"{str(path)!r} ({path.stat().st_size} bytes)" in str(caught.value)
    assert "fetch the file again" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def _change_text(path, name, text):
    changed = header(path)
    changed["__metadata__"][name] = text
    with_header(path, changed)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("meta", '{"epoch": '),
        ("meta", '{"$tensor": "absent"}'),
        ("meta", '{"$import": "os"}'),
        ("meta", "[" * 100_000),
        ("state_dict", "{}"),
        ("gcp_mm.entries", '["meta", "absent"]'),
        ("gcp_mm.entries", "3"),
        ("gcp_mm.checkpoint", "2"),
    ],
)
def test_metadata_that_do_not_fit(path, name, text):
    path.write_bytes(safetensors_bytes({"meta": {}, "state_dict": {"w": torch.ones(9)}}))
    _change_text(path, name, text)
    with pytest.raises(UserError, match="metadata of checkpoint .* do not fit") as caught:
        load(path)
    assert f"{str(path)!r} ({path.stat().st_size} bytes)" in str(caught.value)


def test_other_suffix_is_told(tmp_path):
    weights = {"w": torch.ones(9)}
    (tmp_path / "a.pth").write_bytes(safetensors_bytes(weights))
    with pytest.raises(UserError, match="is a safetensors file.*rename it to 'a.safetensors'"):
        load(tmp_path / "a.pth")
    for zip_format in (True, False):
        torch.save(weights, tmp_path / "b.safetensors", _use_new_zipfile_serialization=zip_format)
        with pytest.raises(UserError, match="is a PyTorch checkpoint.*rename it to 'b.pth'"):
            load(tmp_path / "b.safetensors")


def test_length_of_the_header_can_begin_like_a_pickle(tmp_path):
    """One header in 32 has a length whose first byte is 0x80, as a pickle of torch's begins."""
    for padding in range(0, 256, 8):
        content = safetensors_bytes(
            {"meta": {"note": "x" * padding}, "state_dict": {"w": torch.ones(9)}}
        )
        if content[:1] == b"\x80":
            break
    assert content[:1] == b"\x80"
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UserError, match="is a safetensors file.*rename it to 'a.safetensors'"):
        load(tmp_path / "a.pth")
    (tmp_path / "b.safetensors").write_bytes(content[:-8])
    with pytest.raises(UserError) as caught:
        load(tmp_path / "b.safetensors")
    assert "PyTorch checkpoint" not in str(caught.value)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
def test_pointer_of_git_lfs(tmp_path, name):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="is a pointer of Git LFS.*git lfs pull"):
        load(tmp_path / name)


def test_shards_and_folders(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="is a folder: name a checkpoint file in it$"):
        load(tmp_path)
    (tmp_path / "a.pth").touch()
    with pytest.raises(CheckpointNotFoundError, match="in it; it has a.pth"):
        load(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "../outside.safetensors"}}))
    for path in (index, tmp_path):
        with pytest.raises(CheckpointNotFoundError, match="in several files.*torch.save_file"):
            load(path)


def test_suffix_may_be_in_capitals(tmp_path):
    (tmp_path / "a.SAFETENSORS").write_bytes(safetensors_bytes({"w": torch.ones(9)}))
    assert load(tmp_path / "a.SAFETENSORS")["w"].sum() == 9


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex128)],
    ids=["sparse", "complex128"],
)
def test_tensors_that_the_format_has_not(tensor):
    with pytest.raises(UserError, match="cannot be written as .safetensors.*Write a .pth"):
        safetensors_bytes({"state_dict": {"w": tensor}})


def test_objects_are_refused(training_checkpoint):
    content = torch.load(training_checkpoint, weights_only=False)
    with pytest.raises(UserError, match="message_hub/.*HistoryBuffer.*write a .pth"):
        safetensors_bytes(content)


def test_package_is_missing(path, monkeypatch):
    library.save_file({"w": torch.ones(2)}, path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for work in (lambda: load(path), lambda: safetensors_bytes({"w": torch.ones(2)})):
        with pytest.raises(UserError, match="pip install safetensors"):
            work()


def test_entries_called_like_ours(path):
    content = {
        "state_dict": OrderedDict(w=torch.ones(2)),
        "format": "mine",
        "gcp_mm.entries": (1, 2),
        "gcp_mm.checkpoint": 3,
    }
    path.write_bytes(safetensors_bytes(content))
    loaded = load(path)
    assert loaded.keys() == content.keys()
    assert (loaded["format"], loaded["gcp_mm.entries"], loaded["gcp_mm.checkpoint"]) == (
        "mine",
        (1, 2),
        3,
    )


@pytest.mark.parametrize("bare", [True, False])
def test_flipped_bit_is_found(path, bare):
    weights = dict(network().state_dict())
    path.write_bytes(safetensors_bytes(weights if bare else {"meta": {}, "state_dict": weights}))
    whole = path.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    for position in range(begin, len(whole), 37):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        with pytest.raises(UserError, match=f"{path}.* is damaged: .* the checksum") as caught:
            load(path)
        assert len(str(caught.value).splitlines()) == 1
    assert any(name in str(caught.value) for name in weights)


def test_changed_kind_of_numbers_is_found(path):
    path.write_bytes(safetensors_bytes({"state_dict": {"w": torch.ones(4)}}))
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    with pytest.raises(UserError, match="is damaged: w does not have"):
        load(path)


@pytest.mark.parametrize("sums", ["[]", "{", '{"w": 3}', "null", '{"w": "00000000", "x": "0"}'])
def test_odd_list_of_checksums(path, sums):
    library.save_file({"w": torch.ones(2)}, path, {"gcp_mm.crc32": sums})
    with pytest.raises(UserError, match=f"{path}.* is damaged"):
        load(path)
