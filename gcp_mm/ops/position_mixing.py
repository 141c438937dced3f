r"""An orthogonal mix of the positions, for arithmetic in half precision.

Half precision rounds an element by a fraction of its size. Where the features lie at few positions
a few elements of q(K) are large, and their rounding is all that there is. The layer does not notice
a mix of positions,

.. math:: \hat X\, q(\hat X^\top \hat X)\, \hat X^\top = (\hat X Q)\, q((\hat X Q)^\top \hat X Q)\,
    (\hat X Q)^\top, \qquad Q Q^\top = I

and Q spreads what lies at one position over sixteen, so that many independent errors average, as
the incoherence processing of quantised networks does (QuIP, arXiv 2307.13304). In each group of
sixteen Q is a discrete cosine transform, whose rows have the signs of a bent function (Rothaus, "On
'bent' functions", 1976), so that features which are equal at all sixteen are spread too. Were all
elements of one size, as in a Hadamard matrix, the rounding errors of one position would be of one
size and sign and not average.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from gcp_mm.ops.made_once import finished, made_once

GROUP = 16
"""Positions that are mixed with each other."""


@made_once
def _mix(size: int, device: torch.device) -> Tensor:
    """Return Q for one group of ``size`` positions, a power of four."""
    index = torch.arange(size, device=device, dtype=torch.float64)
    cosines = torch.cos(torch.pi / size * (index[:, None] + 0.5) * index)
    cosines[:, 0] /= 2**0.5
    signs = pattern = torch.ones(4, device=device, dtype=torch.float64)
    pattern[3] = -1
    while len(signs) < size:
        signs = torch.kron(signs, pattern)
    return finished(((2 / size) ** 0.5 * signs[:, None] * cosines).float())


def mix_positions(x: Tensor) -> Tensor:
    """Return X Q of shape (B, C, N'), with zeros added up to a multiple of 16 positions first.

    Args:
        x: Features of shape (B, C, N).
    """
    groups = pad(x, (0, -x.shape[-1] % GROUP)).unflatten(-1, (-1, GROUP))
    return (groups @ _mix(GROUP, x.device).to(x.dtype)).flatten(-2)


def unmix_positions(mixed: Tensor, positions: int) -> Tensor:
    """Return X of shape (B, C, N) from X Q of shape (B, C, N').

    Args:
        mixed: What :func:`mix_positions` returned, or a gradient by it.
        positions: N.
    """
    groups = mixed.unflatten(-1, (-1, GROUP)) @ _mix(GROUP, mixed.device).to(mixed.dtype).mT
    return groups.flatten(-2)[..., :positions]
