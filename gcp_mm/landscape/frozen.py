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
    gradients = [(p, p.requires_grad) for p in model.parameters()]
    modes = [(m, m.training) for m in model.modules()]
    tracking = [(m, m.track_running_stats) for m in model.modules() if isinstance(m, _BatchNorm)]
    tensors = [*model.parameters(), *model.buffers()]
    devices = {tensor.device for tensor in tensors}
    with ExitStack() as stack:
        stack.enter_context(_random_state(devices))
        stack.enter_context(torch.enable_grad())
        for device in devices:
            stack.enter_context(autocast_disabled(device))
        stack.enter_context(reproducible_kernels())
        try:
            for parameter, _ in gradients:
                parameter.requires_grad_(False)
            # Not through eval(), which some backbones override.
            for module, _ in modes:
                module.training = False
            if batch_norm == "batch":
                for module, _ in tracking:
                    # This pair takes the batch's statistics and never updates the buffers.
                    module.training, module.track_running_stats = True, False
            yield
        finally:
            for parameter, required in gradients:
                parameter.requires_grad_(required)
            for module, training in modes:
                module.training = training
            for module, tracked in tracking:
                module.track_running_stats = tracked


@contextmanager
def _random_state(devices: set[torch.device]) -> Iterator[None]:
    """Restore the random number generators afterwards."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    gpus = [device.index for device in devices if device.type == "cuda"]
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)
