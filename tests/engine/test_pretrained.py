"""Looking for pretrained files before anything is built."""

import pytest

from gcp_mm.checkpoints.pretrained import check_pretrained_exists
from gcp_mm.errors import CheckpointNotFoundError


def test_missing_file_is_named_with_three_cures(repo, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointNotFoundError) as caught:
        check_pretrained_exists("checkpoints/resnet50_gcp_lrnorm.pth")
    message = str(caught.value)
    assert "'checkpoints/resnet50_gcp_lrnorm.pth' of pretrained weights does not exist" in message
    assert f"working folder: {tmp_path}" in message
    assert "--cfg-options model.backbone.init_cfg.checkpoint=PATH" in message
    assert "--cfg-options model.backbone.init_cfg=None" in message
    assert "gcp-mm train gcp_mm::imagenet/resnet50_gcp_lrnorm.py" in message
    assert (repo / "configs/imagenet/resnet50_gcp_lrnorm.py").is_file()


def test_key_of_another_part_is_named():
    with pytest.raises(CheckpointNotFoundError, match="model.teacher.init_cfg.checkpoint=PATH"):
        check_pretrained_exists("absent.pth", "model.teacher.init_cfg")


@pytest.mark.parametrize(
    "address", ["torchvision://nosuchmodel", "https://127.0.0.1:1/x.pth", "s3://bucket/x.pth"]
)
def test_addresses_are_not_looked_at(address):
    check_pretrained_exists(address)


def test_existing_file_and_home_folder(monkeypatch, tmp_path):
    (tmp_path / "x.pth").touch()
    check_pretrained_exists(str(tmp_path / "x.pth"))
    monkeypatch.setenv("HOME", str(tmp_path))
    check_pretrained_exists("~/x.pth")
    with pytest.raises(CheckpointNotFoundError):
        check_pretrained_exists("~/y.pth")
    with pytest.raises(CheckpointNotFoundError):
        check_pretrained_exists(str(tmp_path))
