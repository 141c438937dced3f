"""The scheme ``gcp_mm://``."""

import pytest
import torch

from gcp_mm.errors import CheckpointNotFoundError, UserError

pytest.importorskip("mmengine")
from mmengine.runner.checkpoint import CheckpointLoader

NAME = "resnet18_gcp_lrnorm"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_file_is_loaded_from_checkpoints(folder):
    (folder / "checkpoints").mkdir()
    torch.save({"state_dict": {"w": torch.ones(3)}}, folder / f"checkpoints/{NAME}.pth")
    loaded = CheckpointLoader.load_checkpoint(f"gcp_mm://{NAME}", "cpu")
    assert torch.equal(loaded["state_dict"]["w"], torch.ones(3))


def test_safetensors_is_found_where_there_is_no_pth(folder):
    library = pytest.importorskip("safetensors.torch")
    (folder / "checkpoints").mkdir()
    library.save_file({"w": torch.ones(3)}, folder / f"checkpoints/{NAME}.safetensors")
    assert CheckpointLoader.load_checkpoint(f"gcp_mm://{NAME}", "cpu")["w"].sum() == 3
    torch.save({"w": torch.zeros(3)}, folder / f"checkpoints/{NAME}.pth")
    assert CheckpointLoader.load_checkpoint(f"gcp_mm://{NAME}", "cpu")["w"].sum() == 0


def test_absent_file_says_how_to_get_it():
    with pytest.raises(CheckpointNotFoundError, match=f"'checkpoints/{NAME}.pth'") as caught:
        CheckpointLoader.load_checkpoint(f"gcp_mm://{NAME}")
    for part in (f"model_zoo.py download {NAME}", "pretrained='PATH'", "pretrained=False"):
        assert part in str(caught.value)


def test_unknown_row():
    with pytest.raises(UserError, match="no row 'resnet19_gcp_lrnorm'.*resnet18_gcp_lrnorm"):
        CheckpointLoader.load_checkpoint("gcp_mm://resnet19_gcp_lrnorm")
