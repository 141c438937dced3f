"""Classifiers with the weights of a checkpoint, for everything that measures trained networks."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

import gcp_mm.registry  # noqa: F401  (its models)
from gcp_mm.engine.checkpoint_form import check_form
from gcp_mm.engine.checkpoint_loader import load_from_file
from gcp_mm.engine.coverage import compare, weights_of
from gcp_mm.engine.finite import check_finite
from gcp_mm.errors import CheckpointMismatchError, UserError


def classifier_scope(cfg: Config) -> str:
    """Return the default scope of a config, which has to be that of classifiers.

    Args:
        cfg: The config.

    Raises:
        UserError: If it is the config of something else.
    """
    scope = cfg.get("default_scope", "mmpretrain")
    if scope != "mmpretrain":
        raise UserError(
            f"default_scope is {scope!r}, and only classifiers can be used here; choose a "
            "classification config (configs/imagenet, configs/imagenette, configs/landscape)"
        )
    return scope


def load_model(cfg: Config, checkpoint: str | Path) -> nn.Module:
    """Build the classifier of a config with the weights of a checkpoint.

    The initialisation of the config does not run, so that pretrained files it names need not be
    there. Every tensor of the network has to be in the file.

    Args:
        cfg: A classification config.
        checkpoint: A file with ``state_dict``, or a state dict itself, ``.pth`` or
            ``.safetensors``; or an address ``hf://OWNER/NAME/FILE``.

    Returns:
        The classifier on the CPU, in evaluation mode; called with images it returns logits.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointMismatchError: If the file lacks a tensor of the network, has one of another
            shape, or one that the network has not.
        UserError: If the config is none of a classifier, or the file cannot be read or holds
            weights that are not finite.
    """
    scope = classifier_scope(cfg)
    loaded = load_from_file(checkpoint, "cpu")
    check_form(loaded, checkpoint)
    with DefaultScope.overwrite_default_scope(scope):
        network = MODELS.build({"data_preprocessor": cfg.get("data_preprocessor"), **cfg.model})
    weights = weights_of(loaded)
    coverage = compare(network.state_dict(), weights)
    if not coverage.complete or coverage.unused:
        raise CheckpointMismatchError(
            f"checkpoint {str(checkpoint)!r} does not belong to the model of this config: "
            f"{coverage}; {coverage.details()}. Choose the config that it was trained with"
        )
    check_finite(network, weights, checkpoint)
    network.load_state_dict(weights, strict=False)
    return network.eval()
