r"""The ground truth: the formulas of the layer as they are printed, differentiated by autograd.

.. math:: v = \operatorname{triu}\bigl(\operatorname{sqrt}_n(\operatorname{cov}(X))\bigr)

Every other implementation is tested against this one, in value and in gradient.
"""

from __future__ import annotations

from torch import Tensor

from gcp_mm.ops.covariance_pool import covariance_pool
from gcp_mm.ops.newton_schulz import newton_schulz_sqrt
from gcp_mm.ops.triu_vec import triu_vec


def reference_global_covariance_pool(x: Tensor, num_iters: int) -> Tensor:
    """Compose covariance, Newton-Schulz square root and upper triangle.

    Args:
        x: Features of shape (B, C, N) in float32 or float64.
        num_iters: Number of Newton-Schulz steps.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2) in the dtype of ``x``.
    """
    return triu_vec(newton_schulz_sqrt(covariance_pool(x), num_iters))
