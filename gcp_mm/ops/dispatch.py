"""The one place that decides which implementation of the layer runs.

The operator cannot take part in every kind of differentiation: a ``torch.library.custom_op`` has no
rule for grad, vjp and jvp of torch.func (its formula becomes an ``autograd.Function`` without
``setup_context``, torch/_library/autograd.py in PyTorch 2.13), and it drops the tangents of
forward-mode differentiation without a word. There is no public way to ask whether one of them is
active; :func:`differentiating` finds out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gcp_mm.ops.covariance_pool import flatten_positions
from gcp_mm.ops.cpu_kernels import cpu_kernel_status
from gcp_mm.ops.gram.arithmetic import Carrier
from gcp_mm.ops.gram.fused import describe, fused_status
from gcp_mm.ops.gram.operator import gram_pool, runs_in_c
from gcp_mm.ops.plain import gram_autograd_global_covariance_pool, reference_global_covariance_pool
from gcp_mm.ops.precision import check_floating_point, pool_conditioned
from gcp_mm.ops.triton_kernels import triton_status


def differentiating() -> bool:
    """Return whether forward mode or a transform of torch.func other than vmap is active."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    vmap = torch._C._functorch.TransformType.Vmap
    return forward_ad._current_level >= 0 or any(level.key() != vmap for level in stack)


def exporting() -> bool:
    """Return whether a graph is exported; the compiler of PyTorch 2.11 takes itself for one."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


# What torch.compiler.assume_constant_result sets; calling it would import the whole compiler here.
for _question in (differentiating, exporting):
    _question.__dict__["_dynamo_marked_constant"] = True

ENVIRONMENT = "GCP_MM_IMPL"

IMPLEMENTATIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "gram": gram_pool,
    "gram_fused": partial(gram_pool, fused=True),
    "gram_autograd": partial(pool_conditioned, gram_autograd_global_covariance_pool),
    "reference": partial(pool_conditioned, reference_global_covariance_pool),
}
"""By name: a function of features (B, C, N), any floating-point dtype, and ``num_iters``."""


OPERATOR = ("gram", "gram_fused")
"""Those that are the operator."""


class Choice(NamedTuple):
    """The name of the implementation that runs, and why this one."""

    impl: str
    reason: str


def check_impl(impl: str, origin: str = "impl") -> None:
    """Raise a ValueError unless ``impl``, given as ``origin``, is 'auto' or an implementation."""
    if impl != "auto" and impl not in IMPLEMENTATIONS:
        choices = ", ".join(repr(name) for name in ("auto", *IMPLEMENTATIONS))
        raise ValueError(f"unknown {origin} {impl!r}; choose one of {choices}")


def choose(impl: str = "auto") -> Choice:
    """Decide which implementation runs; see :func:`explain`, which says more about it."""
    check_impl(impl)
    wanted = os.environ.get(ENVIRONMENT, "auto")
    check_impl(wanted, ENVIRONMENT)
    choice = Choice("gram", "the fastest")
    if impl != "auto":
        choice = Choice(impl, f"asked for with impl={impl!r}")
    elif wanted != "auto":
        choice = Choice(wanted, f"asked for with {ENVIRONMENT}={wanted}")
    if choice.impl in OPERATOR:
        if exporting():
            return Choice("gram_autograd", "an exported graph holds plain operators only")
        if differentiating():
            reason = "torch.func and forward mode cannot differentiate a custom operator"
            return Choice("gram_autograd", reason)
    return choice


def _kernels(x: Tensor, carrier: Carrier) -> list[str]:
    """Say which kernels multiply the matrices, or why neither kind does."""
    if carrier.fused:
        return ["Triton kernels"]
    if runs_in_c(x, carrier):
        return ["C kernels"]
    reasons = {"C": cpu_kernel_status(x), "Triton": triton_status(x)}
    return [f"no {name} kernels: {reason}" for name, reason in reasons.items()]


def explain(x: Tensor, impl: str = "auto", num_iters: int = 5) -> str:
    """Say which implementation :func:`gcp_mm.ops.global_covariance_pool` would run, and why.

    Args:
        x: Features of shape (B, C, H, W) or (B, C, N).
        impl: As for the layer. A name other than 'auto' is taken; else the environment variable
            ``GCP_MM_IMPL`` decides; else it is 'gram'. Where the operator of 'gram' cannot be, in
            an exported graph or under torch.func, 'gram_autograd' takes its place, and where
            'gram_fused' cannot be, 'gram' does.
        num_iters: As for the layer; half precision on a GPU is for a few steps only.

    Returns:
        Its name and the reason; for 'gram' also the matrices it works on, their dtype, and whether
        C or Triton kernels multiply them, or why neither do.

    Raises:
        ValueError: If ``impl`` or the environment variable names no implementation, or the layer
            would refuse the features.

    Example:
        >>> print(explain(torch.rand(2, 256, 14, 14), impl="reference"))
        reference: asked for with impl='reference'
    """
    check_floating_point(x, "x")
    features = flatten_positions(x)
    channels, positions = features.shape[1:]
    choice = choose(impl)
    words = [choice.reason]
    if choice.impl == "gram_fused":
        status = fused_status(features, num_iters)
        if status is None:
            return f"gram_fused: {choice.reason}; {describe(features)}"
        choice = Choice("gram", choice.reason)
        words.append(f"but not 'gram_fused': {status}")
    if choice.impl == "gram":
        matrices = "N x N" if positions < channels else "C x C"
        carrier = Carrier.of(x, num_iters)
        words += [
            f"{matrices} matrices for C = {channels}, N = {positions}",
            f"carried by {carrier.dtype}",
            *_kernels(x, carrier),
        ]
    return f"{choice.impl}: {'; '.join(words)}"
