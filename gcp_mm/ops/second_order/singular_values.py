r"""Power normalisation of the largest singular values, by a few steps of the power method.

For k values with n steps each, from a learned vector w,

.. math::

    u = M v / \lVert M v \rVert, \quad v = M^\top u / \lVert M^\top u \rVert, \quad
    s_k = u^\top M v, \quad M \leftarrow M - s_k\, u v^\top

    \text{out} = \sum_k s_k^\alpha\, u_k v_k^\top + \frac{M}{s_{\text{last}}^{1 - \alpha} + 10^{-5}}

Paper: "SoT: Delving Deeper into Classification Head for Transformer", arXiv 2104.10935 (svPN). One
step gives two thirds to four fifths of the largest singular value: a smoothed matrix, not the
first term of its decomposition. Deviation from the original code: a zero matrix has a zero
gradient instead of NaN, and float64 is computed in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gcp_mm.ops.second_order.parts import Normalization, check_count, check_positive

EPSILON = 1e-5


def _unit(vector: Tensor) -> Tensor:
    """Return vectors (B, D, 1) of length one; zeros stay zeros, with a zero gradient."""
    largest = vector.detach().abs().amax(dim=-2, keepdim=True)
    zero = largest == 0
    vector = torch.where(zero, 1, vector / torch.where(zero, 1, largest))
    return torch.where(zero, 0, vector / torch.linalg.vector_norm(vector, dim=-2, keepdim=True))


class SingularValuePower(Normalization, name="svpn"):
    """See the head of the module.

    Args:
        size: Rows D of the matrices, and length of the learned vector.
        alpha: Exponent. Defaults to 0.5.
        num_iters: Steps n of the power method. Defaults to 1.
        num_values: Singular values k. Defaults to 1.
    """

    def __init__(
        self, size: int, alpha: float = 0.5, num_iters: int = 1, num_values: int = 1
    ) -> None:
        super().__init__()
        self.alpha = check_positive("alpha", alpha)
        self.num_iters = check_count("num_iters", num_iters)
        self.num_values = check_count("num_values", num_values)
        self.weight = nn.Parameter(torch.randn(size))

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the normalised matrices (B, D, D), which need not be symmetric."""
        self._check_size(matrix)
        rest, terms = matrix, []
        for _ in range(self.num_values):
            right = self.weight.to(matrix.dtype)[:, None].expand(matrix.shape[0], -1, 1)
            for _step in range(self.num_iters):
                left = _unit(rest @ right)
                right = _unit(rest.mT @ left)
            value = left.mT @ rest @ right
            zero = value <= 0
            safe = torch.where(zero, 1, value)
            terms.append((torch.where(zero, 0, safe**self.alpha) * left, right.mT))
            rest = torch.baddbmm(rest, value * left, right.mT, alpha=-1)
            value = torch.where(zero, 0, safe ** (1 - self.alpha))
        result = rest / (value + EPSILON)
        for scaled, right_row in terms:
            result = torch.baddbmm(result, scaled, right_row)
        return result

    def of_factor(self, factor: Tensor) -> Tensor:
        """Return the same of factors (B, D, N): a single value needs no pass over a D x D matrix.

        With c = 1 / (s ** (1 - alpha) + 1e-5) the result is c M + (s ** alpha - c s) u v^T.
        """
        if self.num_values > 1:
            return super().of_factor(factor)
        self._check_size(factor)
        right = self.weight.to(factor.dtype)[:, None].expand(factor.shape[0], -1, 1)
        for _ in range(self.num_iters):
            left = _unit(factor @ (factor.mT @ right))
            right = _unit(factor @ (factor.mT @ left))
        value = (factor.mT @ left).mT @ (factor.mT @ right)
        zero = value <= 0
        safe = torch.where(zero, 1, value)
        scale = 1 / (torch.where(zero, 0, safe ** (1 - self.alpha)) + EPSILON)
        of_term = torch.where(zero, 0, safe**self.alpha) - scale * value
        return torch.baddbmm(of_term * left @ right.mT, scale * factor, factor.mT)

    def _check_size(self, rows: Tensor) -> None:
        """Raise a ValueError unless there are as many rows as the learned vector has numbers."""
        if rows.shape[-2] != len(self.weight):
            raise ValueError(
                f"SingularValuePower({len(self.weight)}) got matrices of {rows.shape[-2]} rows"
            )
