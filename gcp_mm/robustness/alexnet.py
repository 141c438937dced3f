"""torchvision's AlexNet, the network that published robustness measures are relative to."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from gcp_mm.checkpoints.coverage import compare, weights_of
from gcp_mm.checkpoints.form import check_form
from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.errors import CheckpointMismatchError

#: The name that stands for :func:`alexnet_config` in place of the path of a config.
NAME = "alexnet"


def alexnet_config() -> Config:
    """Return a config of AlexNet for 1000 classes, with ImageNet's normalisation.

    Only torchvision's weights (``AlexNet_Weights.IMAGENET1K_V1``, alexnet-owt-7be5be79.pth) give
    the published baseline.
    """
    return Config(
        dict(
            default_scope="mmpretrain",
            model=dict(
                type="ImageClassifier",
                backbone=dict(type="AlexNet", num_classes=1000),
                neck=None,
                head=dict(type="ClsHead"),
            ),
            # No pipeline: the table of classes is what counts, whatever part of it a tree has.
            test_dataloader=dict(dataset=dict(type="ImageNet")),
            data_preprocessor=dict(
                num_classes=1000,
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                to_rgb=True,
            ),
        )
    )


def load_alexnet(checkpoint: str | Path) -> nn.Module:
    """Build AlexNet with weights that are named as in torchvision or in mmpretrain.

    Args:
        checkpoint: The file.

    Returns:
        The classifier on the CPU, in evaluation mode.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointMismatchError: If it holds another network.
        UserError: If it cannot be read.
    """
    cfg = alexnet_config()
    loaded = load_from_file(checkpoint, "cpu")
    check_form(loaded, checkpoint)
    weights = {
        f"backbone.{name.removeprefix('backbone.')}": tensor
        for name, tensor in weights_of(loaded).items()
    }
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        network = MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})
    coverage = compare(network.state_dict(), weights)
    if not coverage.complete or coverage.unused:
        raise CheckpointMismatchError(
            f"checkpoint {str(checkpoint)!r} is not torchvision's AlexNet: {coverage}; "
            f"{coverage.details()}. Use alexnet-owt-7be5be79.pth, or name the config of the network"
        )
    network.load_state_dict(weights)
    return network.eval()
