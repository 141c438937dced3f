r"""Global covariance pooling: a feature map becomes the square root of its covariance.

.. math:: v = \operatorname{triu}\bigl(\operatorname{sqrt}_n(\operatorname{cov}(X))\bigr)

Papers: "What Deep CNNs Benefit from Global Covariance Pooling: An Optimization Perspective",
arXiv 2003.11241; "Towards Faster Training of Global Covariance Pooling Networks by Iterative
Matrix Square Root Normalization", arXiv 1712.01034.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from gcp_mm.ops.covariance_pool import flatten_positions
from gcp_mm.ops.dispatch import IMPLEMENTATIONS, check_impl, choose
from gcp_mm.ops.newton_schulz import check_num_iters
from gcp_mm.ops.precision import check_floating_point


def global_covariance_pool(x: Tensor, num_iters: int = 5, impl: str = "auto") -> Tensor:
    """Pool a feature map into the vectorised square root of its covariance.

    The computation leaves autocast and runs in float32 (float64 for float64 inputs; half precision
    inputs on a GPU are carried by float16, see :mod:`gcp_mm.ops.gram.arithmetic`). With the usual
    number of steps the result is finite for every input whose magnitudes are at most half of the
    largest float: a sample without any variation over its positions gives zeros, and a zero
    gradient. The gradient of 'gram' is finite there too; plain operators, which are also what
    torch.func and gradients of gradients use, multiply the incoming gradient by the root of the
    trace of the covariance, which is up to sqrt(C) times the largest deviation, and need that to be
    a float that is neither infinite nor subnormal. Tens of steps diverge, because rounding makes
    eigenvalues negative and each step enlarges those.

    To ``torch.fx`` it is one node. ``torch.jit.script`` compiles a call of the operator
    ``gcp_mm::gram_pool``, so that a program which loads the script has to import :mod:`gcp_mm.ops`;
    ``torch.jit.trace`` records plain operators, which any program can load.

    Args:
        x: Features of shape (B, C, H, W) or (B, C, N), any floating-point dtype.
        num_iters: Number of Newton-Schulz steps; 5 in every published model.
        impl: 'gram' (the same polynomial on the smaller Gram matrix, one operator),
            'gram_fused' (the same in a few launches, for half precision on a GPU, not timed on one
            yet), 'gram_autograd' (its formulas in plain operators), 'reference' (the published
            formulas) or 'auto', for which :func:`gcp_mm.ops.explain` tells what is taken.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2) in the dtype of ``x``: the upper triangle row by row.

    Raises:
        ValueError: If shape, dtype, ``num_iters`` or ``impl`` does not fit.

    Example:
        >>> import torch
        >>> global_covariance_pool(torch.rand(2, 256, 14, 14)).shape
        torch.Size([2, 32896])
    """
    # An `else`, because TorchScript compiles what follows a return.
    if torch.jit.is_scripting():
        return _scripted(x, num_iters, impl)
    else:
        if has_torch_function_unary(x):
            # One node for torch.fx, which cannot follow checks of shapes.
            return handle_torch_function(global_covariance_pool, (x,), x, num_iters, impl)
        check_num_iters(num_iters)
        check_floating_point(x, "x")
        features = flatten_positions(x)
        return IMPLEMENTATIONS[choose(impl).impl](features, num_iters)


def _scripted(x: Tensor, num_iters: int, impl: str) -> Tensor:
    """Call the operator, in what TorchScript knows of Python."""
    if impl not in ("auto", "gram"):
        raise ValueError("torch.jit.script compiles the layer with impl='auto' or impl='gram' only")
    if num_iters < 1:
        raise ValueError("num_iters must be an integer >= 1")
    if x.dim() not in (3, 4) or not x.is_floating_point():
        raise ValueError(
            "covariance pooling expects floating-point features (B, C, H, W) or (B, C, N)"
        )
    return torch.ops.gcp_mm.gram_pool(x.flatten(2), num_iters)


class GlobalCovariancePool(nn.Module):
    """Module form of :func:`global_covariance_pool`, a drop-in for global average pooling.

    Args:
        num_iters: Number of Newton-Schulz steps. Defaults to 5.
        impl: Name of the implementation. Defaults to 'auto'.
    """

    def __init__(self, num_iters: int = 5, impl: str = "auto") -> None:
        super().__init__()
        check_num_iters(num_iters)
        check_impl(impl)
        self.num_iters = num_iters
        self.impl = impl

    def forward(self, x: Tensor) -> Tensor:
        """See :func:`global_covariance_pool`."""
        return global_covariance_pool(x, self.num_iters, self.impl)

    def extra_repr(self) -> str:
        """Show the settings in the printed network."""
        return f"num_iters={self.num_iters}, impl={self.impl}"
