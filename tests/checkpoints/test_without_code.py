"""Text out of a checkpoint is not run, whoever asks for it.

NumPy's arrays out of checkpoints: plain numbers come back, forged ones do not.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.infer import BaseInferencer
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.checkpoints.safetensors_file import safetensors_bytes
from gcp_mm.errors import UnsafeCheckpointError, UserError

WEIGHTS = {"w": torch.ones(1)}
HUB = {"log_scalars": {}, "resumed_keys": {}}


class Inferencer(BaseInferencer):
    """The rest is mmengine's."""

    def visualize(self, *arguments, **options):
        return None

    def postprocess(self, *arguments, **options):
        return None

    def _init_pipeline(self, cfg):
        return None


def files(text):
    """Return checkpoints with a text wherever mmengine looks for one."""
    info = {"cfg": text, "epoch": 2}
    return {
        "message_hub": {"meta": {}, "message_hub": {**HUB, "runtime_info": info}},
        "meta": {"meta": {"cfg": text, "config": text}},
        "both": {"meta": {"cfg": text}, "message_hub": {**HUB, "runtime_info": {"epoch": 2}}},
        "neither": {},
    }


@pytest.mark.parametrize("place", files(""))
def test_inferencer_with_weights_alone_asks_for_the_config(tmp_path, place):
    marker, path = tmp_path / "executed", str(tmp_path / "epoch_2.pth")
    text = f"model = dict(type=open({str(marker)!r}, 'w'))"
    torch.save({"state_dict": WEIGHTS, **files(text)[place]}, path)
    with pytest.raises(UserError, match=r"epoch_2.pth.*give the config as well") as caught:
        Inferencer(weights=path)
    assert f"DetInferencer(model='config.py', weights={path!r})" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not marker.exists()


def test_nor_does_a_safetensors_file_give_a_config(tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "epoch_2.safetensors"
    text = f"model = dict(type=open({str(marker)!r}, 'w'))"
    path.write_bytes(safetensors_bytes({"state_dict": WEIGHTS, **files(text)["message_hub"]}))
    with pytest.raises(UserError, match="give the config as well"):
        Inferencer(weights=str(path))
    assert not marker.exists()


def test_the_text_would_run_where_it_is_not_left_out(tmp_path):
    from mmengine.config import Config

    Config.fromstring(f"x = str(open({str(tmp_path / 'executed')!r}, 'w'))", ".py")
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("address", ["s3://bucket/x.pth", "petrel://x.pth", "pavi://x/y"])
def test_loaders_of_mmengine_that_remain_are_wrapped(address):
    assert CheckpointLoader._get_checkpoint_loader(address).__wrapped__


def test_the_rest_is_as_it_was(tmp_path):
    path = str(tmp_path / "x.pth")
    torch.save({"state_dict": WEIGHTS, "epoch": 7, **files("x = 1")["message_hub"]}, path)
    loaded = CheckpointLoader.load_checkpoint(path)
    expected = {
        "state_dict": WEIGHTS,
        "epoch": 7,
        "meta": {},
        "message_hub": {**HUB, "runtime_info": {"epoch": 2}},
    }
    assert loaded == expected
    with pytest.raises(KeyError, match="nothing"):
        loaded["message_hub"]["runtime_info"]["nothing"]
    for copied in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert type(copied["message_hub"]["runtime_info"]) is dict
        assert copied == expected


def test_settings_of_the_text_are_kept_as_data(tmp_path):
    path, marker = tmp_path / "x.pth", tmp_path / "executed"
    text = f"model = dict(depth=18)\nrun = open({str(marker)!r}, 'w')\n"
    torch.save({"state_dict": WEIGHTS, **files(text)["both"]}, path)
    meta = CheckpointLoader.load_checkpoint(str(path))["meta"]
    assert meta["settings"] == {"model": {"depth": 18}, "run": f"open({str(marker)!r}, 'w')"}
    assert "cfg" not in meta and not marker.exists()


CODES = ["?", "i1", "u1", "i4", ">i8", "f2", "f4", ">f8", "c8", "c16"]
RECONSTRUCT = np.array(0).__reduce__()[0]
SCALAR = np.float64(0).__reduce__()[0]


class Pickled:
    """Pickles as a call, whose result is given a state."""

    def __init__(self, function, arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def dtype(code="f8", state=(3, "<", None, None, None, -1, -1, 0)):
    return Pickled(np.dtype, (code, False, True), state)


def array(kind=None, shape=(4,), content=b"A" * 32):
    state = (1, shape, kind or dtype(), False, content)
    return Pickled(RECONSTRUCT, (np.ndarray, (0,), b"b"), state)


FORGED = {
    # Read at another place than where the element is: a segmentation fault in the end.
    "fields behind the element": lambda: array(
        dtype(state=(3, "|", None, ("a",), {"a": (np.dtype("f8"), 1 << 40)}, 8, 1, 16))
    ),
    "objects in the fields": lambda: array(
        dtype(state=(3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 16))
    ),
    "elements that are arrays": lambda: array(
        dtype(state=(3, "|", (np.dtype("f8"), (1 << 40,)), None, None, 8, 1, 0))
    ),
    "objects": lambda: array(dtype("O8", (3, "|", None, None, None, -1, -1, 63))),
    "structured": lambda: array(
        Pickled(np.dtype, ({"names": ["a"], "formats": ["O"], "offsets": [0], "itemsize": 8},))
    ),
    "text": lambda: array(dtype("U2")),
    "negative shape": lambda: array(shape=(-2, -2)),
    "shape that overflows": lambda: array(shape=(1 << 62, 4, 1 << 30), content=b"A"),
    "too few bytes": lambda: array(content=b"A" * 31),
    "made with a size": lambda: Pickled(RECONSTRUCT, (np.ndarray, (1 << 40,), b"b")),
    "array called": lambda: Pickled(np.ndarray, ((1 << 40,), "f8")),
    "of another class": lambda: Pickled(RECONSTRUCT, (HistoryBuffer, (0,), b"b")),
    "number of an object": lambda: Pickled(SCALAR, (dtype("O8"), b"A" * 8)),
    "number of too few bytes": lambda: Pickled(SCALAR, (dtype(), b"A")),
    "many bytes": lambda: Pickled(bytes, (1 << 40,)),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_array_is_refused(tmp_path, kind):
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {"w": torch.ones(2)}, "meta": {"x": FORGED[kind]()}}, path)
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed") as caught:
        load_from_file(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("zip_format", [True, False])
def test_numbers_come_back(tmp_path, zip_format):
    history = HistoryBuffer([1.5, 2.5], [1, 1])
    content = {
        "arrays": [np.arange(6).reshape(2, 3).astype(code) for code in CODES],
        "turned": (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros((0, 3))),
        "numbers": {code: np.dtype(code).type(1) for code in CODES},
        "history": [history, HistoryBuffer()],
        "dtype": np.dtype("f4"),
    }
    content["same"] = content["arrays"]
    path, again = tmp_path / "x.pth", tmp_path / "y.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    loaded = load_from_file(path)
    for array, expected in zip(
        (*loaded["arrays"], *loaded["turned"]),
        (*content["arrays"], *content["turned"]),
        strict=True,
    ):
        assert type(array) is np.ndarray
        # NumPy turns other byte orders into that of the machine.
        assert array.dtype == pickle.loads(pickle.dumps(expected)).dtype
        assert array.flags.f_contiguous == expected.flags.f_contiguous
        np.testing.assert_array_equal(array, expected)
    assert {code: type(n) for code, n in loaded["numbers"].items()} == {
        code: type(n) for code, n in content["numbers"].items()
    }
    assert loaded["numbers"] == content["numbers"]
    assert [type(part) for part in loaded["history"][0].data] == [np.ndarray, np.ndarray]
    assert loaded["history"][0].mean() == 2.0
    assert loaded["dtype"] == np.dtype("f4")
    assert loaded["same"] is loaded["arrays"]
    # Nobody needs this package to read the file again.
    torch.save(loaded, again, _use_new_zipfile_serialization=zip_format)
    assert b"gcp_mm" not in again.read_bytes()


def test_container_that_holds_itself(tmp_path):
    content = {"weights": [torch.ones(1)]}
    content["weights"].append(content)
    torch.save(content, tmp_path / "x.pth")
    loaded = load_from_file(tmp_path / "x.pth")
    assert loaded["weights"][1] is loaded
