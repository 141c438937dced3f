"""Text out of a checkpoint is not run, whoever asks for it."""

import copy
import pickle

import pytest
import torch
from mmengine.infer import BaseInferencer
from mmengine.runner.checkpoint import CheckpointLoader

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints.safetensors_file import safetensors_bytes
from gcp_mm.errors import UserError

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
