import copy

import pytest
import torch
from mmengine.config import Config
from small_classifier import cfg, checkpoint

from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.conversion.convert_file import write_checkpoint
from gcp_mm.errors import CheckpointMismatchError, UserError

__all__ = ["cfg", "checkpoint"]


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
