"""The layers that are compared: functions of features (B, C, H, W) that return one vector each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.dispatch import IMPLEMENTATIONS

Layer = Callable[[Tensor], Tensor]


def plain(x: Tensor, num_iters: int) -> Tensor:
    """Compute the published formulas in plain PyTorch, differentiated by autograd.

    Without the products that the formulas do not need: the first by the identity, the last of Z.
    """
    x = x.flatten(2) if x.dtype == torch.float64 else x.flatten(2).float()
    x = x - x.mean(-1, keepdim=True)
    cov = x @ x.mT / x.shape[-1]
    trace = cov.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    eye = torch.eye(cov.shape[-1], dtype=x.dtype, device=x.device)
    a = cov / trace
    z = 0.5 * (3 * eye - a)
    y = a @ z
    for step in range(1, num_iters):
        t = 0.5 * (3 * eye - z @ y)
        y = y @ t
        if step + 1 < num_iters:
            z = t @ z
    rows, cols = torch.triu_indices(*cov.shape[-2:], device=x.device)
    return (trace.sqrt() * y).flatten(1).index_select(1, rows * cov.shape[-1] + cols)


def _pytorchcv(num_iters: int) -> Layer:
    from pytorchcv.models.isqrtcovresnet import CovPool, NewtonSchulzSqrt, Triuvec

    def layer(x: Tensor) -> Tensor:
        root = NewtonSchulzSqrt.apply(CovPool.apply(x), num_iters)
        return Triuvec.apply(root).flatten(1)

    return layer


def _from_module(name: str) -> Layer:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise SystemExit(f"--peer {name}: expected module:callable")
    return getattr(importlib.import_module(module), attribute)


def layers(num_iters: int, compiled: bool, outside: list[str]) -> dict[str, Layer]:
    """Collect the layers.

    Args:
        num_iters: Newton-Schulz steps; a layer from outside has its own number.
        compiled: Whether those that torch.compile follows are also measured compiled.
        outside: Further layers as ``module:callable``.

    Returns:
        By name; pytorchcv is missing where it is not installed.
    """
    ours = partial(global_covariance_pool, num_iters=num_iters)
    found: dict[str, Layer] = {
        impl: partial(ours, impl=impl) for impl in IMPLEMENTATIONS if impl != "reference"
    }
    found["plain"] = partial(plain, num_iters=num_iters)
    if compiled:
        # On a CPU autotuning takes minutes and chooses the same matrix products.
        mode = "max-autotune-no-cudagraphs" if torch.cuda.is_available() else "default"
        for name in ("gram", "gram_autograd", "plain"):
            found[f"{name}, compiled"] = torch.compile(
                found[name], fullgraph=True, dynamic=False, mode=mode
            )
    if importlib.util.find_spec("pytorchcv") and num_iters > 1:
        found["pytorchcv"] = _pytorchcv(num_iters)
    return found | {name: _from_module(name) for name in outside}
