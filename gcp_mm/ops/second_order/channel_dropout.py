r"""Dropout of whole channels, as often as the channels are correlated: DropCov's way to train.

From the mean g of the features over the positions, with :math:`w = \operatorname{softmax}` over
the channels of a convolution of g with three taps,

.. math::

    X \leftarrow X + w X, \qquad r_i = \sum_j \operatorname{cov}(X)_{ij}, \qquad
    \rho = \operatorname{clamp}\Bigl(1 - \frac{10}{\log_2 C}\,
        \operatorname{mean} \frac{\langle w, r \rangle}{\lVert w \rVert\, \lVert r \rVert},
        0, 1\Bigr)

and each channel of each sample is zero with probability rho, and divided by 1 - rho otherwise.

Paper: "DropCov: A Simple yet Effective Method for Improving Deep Architectures", NeurIPS 2022; the
form of its convolutional networks. In expectation the covariance keeps its off-diagonal numbers and
its diagonal grows by 1 / (1 - rho), while an evaluation sees the covariance itself.

Deviations from the original code: the mean is over the samples of all processes, so that rho does
not depend on how a batch is split; it stays on the device, where the original waits for it; samples
without any variation, whose cosine is 0 / 0 and made rho NaN, are left out of the mean, and if no
other is left nothing is dropped.
"""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gcp_mm.ops.covariance_pool import centre, flatten_positions
from gcp_mm.ops.precision import autocast_disabled, to_compute_dtype, unit_scale
from gcp_mm.ops.second_order.parts import check_count


class AdaptiveChannelDropout(nn.Module):
    """See the head of the module; in evaluation the features are returned as they are.

    Args:
        channels: Channels C of the features; at least 2.

    Raises:
        ValueError: If it is no such number.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = check_count("channels", channels, least=2)
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Reweight and drop channels.

        Args:
            x: Features of shape (B, C, H, W) or (B, C, N), any floating-point dtype.

        Returns:
            Features of the same shape and dtype.

        Raises:
            ValueError: If the channels are others: the rate depends on their number.
        """
        if x.dim() > 1 and x.shape[1] != self.channels:
            raise ValueError(
                f"AdaptiveChannelDropout({self.channels}) got features of shape {tuple(x.shape)}"
            )
        if not self.training:
            return x
        features = flatten_positions(x)
        with autocast_disabled(x.device):
            features = to_compute_dtype(features, "x")
            weights = self.channel_weights(features)
            features = features * (1 + weights[..., None])
            rho = self.rate(weights.detach(), features.detach())
            kept = torch.rand(features.shape[:2], dtype=rho.dtype, device=x.device) >= rho
            # Where rho is one nothing is kept, and there is nothing to divide.
            scale = kept / torch.where(rho < 1, 1 - rho, 1)
            features = features * scale.to(features.dtype)[..., None]
        return features.to(x.dtype).view(x.shape)

    def channel_weights(self, features: Tensor) -> Tensor:
        """Return w, of shape (B, C), of features (B, C, N)."""
        kernel = self.conv.weight.to(features.dtype)
        mean = features.mean(dim=-1)[:, None]
        return nn.functional.conv1d(mean, kernel, padding=1)[:, 0].softmax(dim=1)

    def rate(self, weights: Tensor, features: Tensor) -> Tensor:
        """Return rho, a number on the device, from w (B, C) and the features X + w X (B, C, N)."""
        cosine, defined = _cosine(weights, features)
        sums = torch.stack([torch.where(defined, cosine, 0).sum(), defined.sum().to(cosine.dtype)])
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(sums)
        total, count = sums
        mean = total / count.clamp_min(1)
        rho = (1 - 10 / math.log2(self.channels) * mean).clamp(0, 1)
        return torch.where(count > 0, rho, 0)


def _cosine(weights: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosine of w and r for each sample, and whether r is not zero."""
    centred = centre(features)
    centred = centred / unit_scale(centred)  # which the cosine does not see
    rows = (centred @ centred.sum(dim=-2)[..., None])[..., 0]
    length = torch.linalg.vector_norm(rows, dim=1)
    defined = length > 0
    safe = torch.where(defined, length, 1) * torch.linalg.vector_norm(weights, dim=1)
    return (weights * rows).sum(dim=1) / safe, defined
