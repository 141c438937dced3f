"""What hooks ask of a runner, and measurements of a model: what is inside, and what is going on."""

from __future__ import annotations

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside of a wrapper for several processes, or of one for augmentations."""
    if is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        return unwrapped(model.get_submodule("module"))
    return model


def is_training(runner: Runner) -> bool:
    """Say whether a runner trains; until it begins, its training loop is the config of one."""
    return isinstance(runner._train_loop, BaseLoop)


def source_of(runner: Runner) -> str:
    """Name what the weights of a run are loaded from, for a message."""
    return runner._load_from or "the latest checkpoint"
