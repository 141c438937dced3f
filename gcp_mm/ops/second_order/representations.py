r"""Matrices of features X (C x N), as factors Y of a product Y Y^T.

A factor is kept because functions of Y Y^T can be computed on the N x N matrix Y^T Y, which is the
smaller one on the last maps of most networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.covariance_pool import centre
from gcp_mm.ops.second_order.parts import Representation


def _mean_factor(x: Tensor) -> Tensor:
    """Divide by the root of N, which a traced program, too, takes from its own features."""
    return x / x.new_ones(x.shape[-1]).sum().sqrt()


class Covariance(Representation, name="covariance"):
    r"""The covariance over the positions, divided by N.

    .. math:: C = \frac1N (X - \bar X)(X - \bar X)^\top

    Paper: "Is Second-order Information Helpful for Large-scale Visual Recognition?",
    arXiv 1703.08050.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the factor (B, C, N) of features (B, C, N)."""
        return _mean_factor(centre(x))


class SecondMoment(Representation, name="second_moment"):
    r"""The second moment, which sees the mean.

    .. math:: M = \frac1N X X^\top

    Paper: "Bilinear CNN Models for Fine-grained Visual Recognition", arXiv 1504.07889.

    Args:
        average: Whether to divide by N; compact bilinear pooling does not. Defaults to True.
    """

    def __init__(self, average: bool = True) -> None:
        super().__init__()
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        """Return the factor (B, C, N) of features (B, C, N)."""
        return _mean_factor(x) if self.average else x


class Gaussian(Representation, name="gaussian"):
    r"""A Gaussian, embedded as a matrix of one row more.

    .. math::

        E = \begin{pmatrix} \frac1N X X^\top & \mu \\ \mu^\top & 1 \end{pmatrix},
        \quad \mu = \frac1N X \mathbf 1

    It is the second moment of the features with a channel of ones. Paper: "G2DeNet: Global
    Gaussian Distribution Embedding Network and Its Application to Visual Recognition", CVPR 2017.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the factor (B, C + 1, N) of features (B, C, N)."""
        ones = x.new_ones(x.shape[0], 1, x.shape[-1])
        return _mean_factor(torch.cat([x, ones], dim=1))

    def size(self, channels: int) -> int:
        """Return C + 1."""
        return channels + 1
