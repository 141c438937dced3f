"""Checkpoints from disk: what loads, what is refused, and what is said about it."""

import builtins
import io
import os
import pathlib
import pickle
import tempfile
import warnings

import numpy as np
import pytest
import torch
from golden_files import load_fill, recorded
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from gcp_mm.checkpoints.loader import UNSAFE_SWITCH, find_checkpoint, load_from_file
from gcp_mm.checkpoints.pretrained import check_pretrained_exists
from gcp_mm.conversion.convert_file import write_checkpoint
from gcp_mm.errors import CheckpointNotFoundError, UnsafeCheckpointError, UserError


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "os.system": lambda marker: Call(os.system, f"touch {marker}"),
    "eval": lambda marker: Call(eval, f"open({str(marker)!r}, 'w')"),
    "open": lambda marker: Call(open, str(marker), "w"),
    "import": lambda marker: Call(__import__, "this"),
    "history_class": lambda marker: Call(getattr, HistoryBuffer, "__init__"),
    # Would walk from an allowed function to the builtins of its module.
    "history_method": lambda marker: Call(
        getattr, Call(getattr, HistoryBuffer, "mean"), "__globals__"
    ),
    "history_object": lambda marker: Call(getattr, HistoryBuffer(), "mean"),
    "setattr": lambda marker: Call(setattr, HistoryBuffer, "mean", 0),
    "numpy": lambda marker: np.array([Call(os.system, f"touch {marker}")], dtype=object),
}
UNREADABLE = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "all but its end": lambda content: content[:-50],
    "its first 99 bytes": lambda content: content[:99],
    "text": lambda content: b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d",
    "an image": lambda content: b"\x89PNG\r\n\x1a\n" + bytes(100),
}


def save(path, content, **options):
    torch.save(content, path, **options)
    return str(path)


def test_training_checkpoint_loads_like_an_unchecked_one(training_checkpoint):
    with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer"):
        torch.load(training_checkpoint, weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = CheckpointLoader.load_checkpoint(str(training_checkpoint), "cpu")
    expected = torch.load(training_checkpoint, map_location="cpu", weights_only=False)
    assert loaded.keys() == expected.keys() > {"message_hub", "optimizer", "param_schedulers"}
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(loaded["state_dict"][name], tensor)
    assert loaded["meta"] == {k: v for k, v in expected["meta"].items() if k != "cfg"}
    assert loaded["param_schedulers"] == expected["param_schedulers"]
    losses = loaded["message_hub"]["log_scalars"]["train/loss"]
    assert losses.mean() == expected["message_hub"]["log_scalars"]["train/loss"].mean() > 0
    assert losses.statistics("max") >= losses.statistics("mean") >= losses.statistics("min")


def test_loading_leaves_the_allow_list_of_torch_as_it_was(training_checkpoint):
    before = set(torch.serialization.get_safe_globals())
    CheckpointLoader.load_checkpoint(str(training_checkpoint))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("zip_format", [True, False])
def test_checkpoint_of_the_original_scripts_loads(shared, tmp_path, zip_format):
    keys = recorded(shared, "shufflenet_v2_x1_0", ".json")
    checkpoint = load_fill(shared).legacy_checkpoint(keys)
    path = save(tmp_path / "a.pth.tar", checkpoint, _use_new_zipfile_serialization=zip_format)
    loaded = CheckpointLoader.load_checkpoint(path, "cpu")
    assert (loaded["epoch"], loaded["arch"]) == (100, "shufflenet_v2_x1_0")
    assert loaded["best_acc1"].item() == 12.5
    assert list(loaded["state_dict"]) == list(checkpoint["state_dict"])
    for name, tensor in checkpoint["state_dict"].items():
        assert torch.equal(loaded["state_dict"][name], tensor)
    assert loaded["optimizer"]["state"].keys() == checkpoint["optimizer"]["state"].keys()


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pickle_is_refused_unexecuted(tmp_path, kind, zip_format):
    marker = tmp_path / "executed"
    content = {"state_dict": {"w": torch.ones(2)}, "meta": HOSTILE[kind](marker)}
    path = save(tmp_path / "x.pth", content, _use_new_zipfile_serialization=zip_format)
    mean = HistoryBuffer.mean
    with pytest.raises(UnsafeCheckpointError) as caught:
        CheckpointLoader.load_checkpoint(path, "cpu")
    assert not marker.exists()
    assert HistoryBuffer.mean is mean
    message = str(caught.value)
    assert path in message
    assert "nothing in it was executed" in message
    assert f"{UNSAFE_SWITCH}=1" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "named"),
    [("os.system", "system"), ("eval", "eval"), ("history_class", "__init__")],
)
def test_refusal_names_the_offender(tmp_path, kind, named):
    path = save(tmp_path / "x.pth", HOSTILE[kind](tmp_path / "executed"))
    with pytest.raises(UnsafeCheckpointError, match=named):
        CheckpointLoader.load_checkpoint(path)


def test_hostile_pickles_of_this_file_do_execute_unchecked(tmp_path):
    for kind in ("os.system", "eval", "open", "numpy"):
        marker = tmp_path / kind
        torch.load(io.BytesIO(_bytes(HOSTILE[kind](marker))), weights_only=False)
        assert marker.exists()
    initialiser = torch.load(io.BytesIO(_bytes(HOSTILE["history_class"](None))), weights_only=False)
    assert initialiser is HistoryBuffer.__init__
    names = torch.load(io.BytesIO(_bytes(HOSTILE["history_method"](None))), weights_only=False)
    assert names["__builtins__"]["eval"] is builtins.eval


def _bytes(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("value", "allowed"), [("1", True), ("0", False), ("", False)])
def test_switch_for_trusted_files(tmp_path, monkeypatch, value, allowed):
    content = {"state_dict": {"w": torch.ones(1)}, "folder": pathlib.PurePosixPath("a/b")}
    path = save(tmp_path / "x.pth", content)
    monkeypatch.setenv(UNSAFE_SWITCH, value)
    if not allowed:
        with pytest.raises(UnsafeCheckpointError, match="pathlib"):
            CheckpointLoader.load_checkpoint(path)
        return
    with pytest.warns(UserWarning, match=f"{UNSAFE_SWITCH}=1.*x.pth"):
        loaded = CheckpointLoader.load_checkpoint(path)
    assert loaded["folder"] == content["folder"]


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("damage", UNREADABLE)
def test_unreadable_file_is_named_with_its_size(tmp_path, damage, zip_format):
    path = tmp_path / "epoch_7.pth"
    weights = {"state_dict": {"w": torch.randn(1000)}, "epoch": 7}
    save(path, weights, _use_new_zipfile_serialization=zip_format)
    path.write_bytes(UNREADABLE[damage](path.read_bytes()))
    with pytest.raises(UserError, match="truncated or not a PyTorch checkpoint") as caught:
        CheckpointLoader.load_checkpoint(str(path))
    assert not isinstance(caught.value, UnsafeCheckpointError)
    assert f"{str(path)!r} ({path.stat().st_size} bytes)" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["epoch_9.pth", "", "~/no/such/file.pth"])
def test_missing_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    said = "does not exist" if name else "is no file"
    with pytest.raises(CheckpointNotFoundError, match=said) as caught:
        CheckpointLoader.load_checkpoint(name)
    assert isinstance(caught.value, FileNotFoundError)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300 + ".pth", "~nobody here/x.pth", "a/b\0.pth"])
def test_name_that_the_system_cannot_look_for(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for find in (find_checkpoint, check_pretrained_exists):
        with pytest.raises(CheckpointNotFoundError, match="is no name of|is too long|not exist"):
            find(name)


@pytest.mark.parametrize("address", ["https://h/x.pth", "gcp_mm://resnet18_gcp_lrnorm"])
def test_address_where_files_are_read(address):
    with pytest.raises(CheckpointNotFoundError, match=f"'{address}' is an address.*give its path"):
        find_checkpoint(address)


@pytest.fixture
def as_nobody():
    """Return a folder that others may look into, and a function that becomes one of them."""
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    with tempfile.TemporaryDirectory() as name:
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name), lambda: os.setresuid(65534, 65534, 0)
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_file_of_another_user(as_nobody, suffix):
    folder, leave = as_nobody
    path = folder / f"x{suffix}"
    write_checkpoint({"w": torch.ones(2)}, path)
    path.chmod(0o600)
    locked = folder / "locked"
    locked.mkdir(0o700)
    leave()
    with pytest.raises(UserError, match=f"x{suffix}' .* cannot be read: permission denied"):
        load_from_file(path)
    for find in (find_checkpoint, check_pretrained_exists):
        with pytest.raises(CheckpointNotFoundError, match="permission denied in one of its"):
            find(str(locked / "x.pth"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
@pytest.mark.parametrize("map_location", [None, "cuda"])
def test_device_that_is_not_there_is_no_fault_of_the_file(tmp_path, monkeypatch, map_location):
    if map_location is None:
        monkeypatch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
    path = save(tmp_path / "x.pth", {"w": torch.ones(2)})
    with pytest.raises(UserError, match=r"x.pth' .* be put on a device .*map_location='cpu'$"):
        load_from_file(path, map_location)
    assert load_from_file(path, "cpu")["w"].sum() == 2


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_full_memory_is_no_fault_of_the_file(tmp_path, monkeypatch, kind):
    path = save(tmp_path / "x.pth", {"w": torch.ones(2)})

    def fail(*arguments, **options):
        raise kind("CUDA out of memory.")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(UserError, match=r"x.pth' .* not fit into the memory \(CUDA out of"):
        load_from_file(path)


@pytest.mark.parametrize("imports", ["import mmengine.runner, gcp_mm", "import gcp_mm.registry"])
def test_import_installs_the_loader(run_warm, training_checkpoint, tmp_path, imports):
    # The loader of onedl-mmengine would load the first file too, and execute the second.
    marker = tmp_path / "executed"
    hostile = save(tmp_path / "x.pth", {"state_dict": {}, "meta": HOSTILE["os.system"](marker)})
    code = f"""{imports}
from mmengine.runner import load_checkpoint
from torch import nn
model = nn.Sequential()
model.add_module("linear", nn.Linear(2, 1))
print(sorted(load_checkpoint(model, {str(training_checkpoint)!r})["state_dict"]))
load_checkpoint(model, {hostile!r})
"""
    process = run_warm("-c", code)
    assert "['linear.bias', 'linear.weight']" in process.stdout, process.stderr
    assert "UnsafeCheckpointError" in process.stderr
    assert not marker.exists()


def test_text_that_a_resumed_run_would_execute_is_left_out(tmp_path):
    """``Runner.resume`` hands ``meta['config']`` to ``Config.fromstring``, which runs it."""
    text = f"open({str(tmp_path / 'marker')!r}, 'w')"
    content = {"meta": {"config": text, "epoch": 3}, "state_dict": {"w": torch.ones(1)}}
    path = save(tmp_path / "x.pth", content)
    loaded = CheckpointLoader.load_checkpoint(path, "cpu")
    assert loaded["meta"] == {"epoch": 3}
    # What other parts read, the converter for one, is what the file holds.
    assert load_from_file(path)["meta"] == content["meta"]


@pytest.mark.parametrize("zip_format", [True, False])
def test_tensor_whose_numbers_are_not_in_the_file(tmp_path, zip_format):
    """It would hold whatever was in the memory."""
    content = {"state_dict": {"w": Call(torch.FloatTensor, 1 << 20)}}
    path = save(tmp_path / "x.pth", content, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(UserError, match=r"x.pth.*'w' of the shape \(1048576,\) has more numbers"):
        load_from_file(path)
