"""Looking for pretrained files before anything is built."""

import copy

import pytest
import torch
from mmengine.config import Config
from small_classifier import cfg, checkpoint
from torch import nn

from gcp_mm.checkpoints.pretrained import (
    check_pretrained_exists,
    load_model,
    load_pretrained_backbone,
)
from gcp_mm.conversion.convert_file import write_checkpoint
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError

__all__ = ["cfg", "checkpoint"]


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


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_no_file(nothing):
    with pytest.raises(
        CheckpointNotFoundError, match="^model.x.init_cfg names no file .*x.init_cfg=N"
    ):
        check_pretrained_exists(nothing, "model.x.init_cfg")


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


def test_model_has_the_weights_of_the_file(cfg, checkpoint):
    network = load_model(cfg, checkpoint)
    weights = torch.load(checkpoint)["state_dict"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("bare", [True, False])
def test_both_formats_give_equal_logits(cfg, checkpoint, tmp_path, bare):
    pytest.importorskip("safetensors")
    content = torch.load(checkpoint)
    path = tmp_path / "net.safetensors"
    write_checkpoint(content["state_dict"] if bare else content, path)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(load_model(cfg, path)(images), load_model(cfg, checkpoint)(images))


def test_weights_that_are_not_finite_are_the_fault_of_their_file(tmp_path):
    """The training would end at its first loss, with the advice to take a smaller step."""
    weights = nn.Linear(2, 1).state_dict()
    weights["weight"][0, 1] = torch.nan
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"x.pth': 1 of 2 weights are not finite \(weight\)"):
        load_pretrained_backbone(nn.Linear(2, 1), str(tmp_path / "x.pth"))


@pytest.mark.parametrize("prefix", ["backbone", "backbone.", "a.backbone"])
def test_prefix_may_lack_its_last_dot(tmp_path, prefix):
    """As most configs of mmpretrain and mmdet write it."""
    weights = {f"{prefix.rstrip('.')}.{n}": t for n, t in nn.Linear(2, 1).state_dict().items()}
    torch.save({**weights, "backbone2.weight": torch.ones(1)}, tmp_path / "x.pth")
    network = nn.Linear(2, 1)
    coverage = load_pretrained_backbone(network, str(tmp_path / "x.pth"), prefix)
    assert str(coverage) == "loaded 2 of 2 tensors" and not coverage.unused
    assert torch.equal(network.weight, weights[f"{prefix.rstrip('.')}.weight"])


def test_pretrained_file_of_the_config_is_not_needed(cfg, checkpoint):
    changed = copy.deepcopy(cfg)
    changed.model.backbone.init_cfg = dict(type="Pretrained", checkpoint="no/such/file.pth")
    load_model(changed, checkpoint)


DAMAGE = {
    "missing": lambda weights: weights.pop("head.fc.weight"),
    "shape": lambda weights: weights.update({"head.fc.weight": torch.zeros(5, 136)}),
    "unused": lambda weights: weights.update({"head.fc.weight_of_another": torch.zeros(1)}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_checkpoint_of_another_model_is_refused(cfg, checkpoint, tmp_path, damage):
    weights = torch.load(checkpoint)["state_dict"]
    DAMAGE[damage](weights)
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(CheckpointMismatchError, match=r"other\.pth.*head\.fc\.weight"):
        load_model(cfg, tmp_path / "other.pth")


def test_what_is_no_classifier_is_refused(cfg, tmp_path):
    torch.save({"numbers": [1, 2]}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth.*no state dict"):
        load_model(cfg, tmp_path / "other.pth")
    with pytest.raises(UserError, match="default_scope is 'mmdet'"):
        load_model(Config({"default_scope": "mmdet"}), tmp_path / "other.pth")
