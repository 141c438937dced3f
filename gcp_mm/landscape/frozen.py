"""Look at a network without leaving a trace in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gcp_mm.engine.torch_backends import reproducible_kernels
from gcp_mm.ops.precision import autocast_disabled


@contextmanager
def frozen(model: nn.Module, batch_norm: str = "batch") -> Iterator[None]:
    """Freeze a network, and restore everything afterwards, also after an exception.

    Inside, no parameter requires a gradient, dropout and stochastic depth are off, autocast and
    TF32 are off, kernels are reproducible and gradients are enabled. Afterwards parameters,
    buffers, ``requires_grad``, ``training``, the random number generators of PyTorch, NumPy and
    Python and the states above are bit for bit as before (of precisions, see
    :func:`gcp_mm.engine.torch_backends.reproducible_kernels`).

    Args:
        model: The network.
        batch_norm: 'batch' normalises with the statistics of the batch and leaves the running
            ones alone, also where the network trains with frozen ones; 'eval' normalises with
            the running ones.
    """
    devices = {tensor.device for tensor in [*model.parameters(), *model.buffers()]}
    with ExitStack() as stack:
        stack.callback(np.random.set_state, np.random.get_state())
        stack.callback(random.setstate, random.getstate())
        gpus = [device.index for device in devices if device.type == "cuda"]
        stack.enter_context(torch.random.fork_rng(devices=gpus))
        stack.enter_context(torch.enable_grad())
        for device in devices:
            stack.enter_context(autocast_disabled(device))
        stack.enter_context(reproducible_kernels())
        for parameter in model.parameters():
            stack.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.requires_grad_(False)
        for module in model.modules():
            # Not through eval(), which some backbones override.
            stack.callback(setattr, module, "training", module.training)
            module.training = False
            if isinstance(module, _BatchNorm):
                stack.callback(setattr, module, "track_running_stats", module.track_running_stats)
                if batch_norm == "batch":
                    # This pair takes the batch's statistics and never updates the buffers.
                    module.training, module.track_running_stats = True, False
        yield
