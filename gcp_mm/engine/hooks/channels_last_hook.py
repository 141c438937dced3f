"""Lay images out with the channels last, which convolutions of many devices prefer."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Convert the network to ``torch.channels_last`` before training or evaluation.

    A convolution whose weight has that layout takes any input and answers in it, so that the
    features follow from the first layer on. Shapes, checkpoints and results stay the same, up to
    the rounding of other kernels. Parameters stay the same objects, so the optimizer keeps them.
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the weights.

        Not earlier: random initial weights are drawn in the order of the memory, and would be
        others than without this hook.

        Args:
            runner: The runner; its model may be wrapped.
        """
        runner.model.to(memory_format=torch.channels_last)

    def before_val(self, runner: Runner) -> None:
        """Convert the weights, where a run only evaluates."""
        runner.model.to(memory_format=torch.channels_last)

    def before_test(self, runner: Runner) -> None:
        """Convert the weights, where a run only evaluates."""
        runner.model.to(memory_format=torch.channels_last)
