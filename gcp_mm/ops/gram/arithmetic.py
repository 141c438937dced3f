"""How the matrices of the layer are stored and multiplied.

float64 features are computed in float64 and everything else in float32, with one exception: half
precision features on a GPU are carried by float16, with sums in float32 (in products of cuBLAS only
if ``torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction`` is off). All matrices have
their eigenvalues in [0, 1] or, for the few steps for which this is done, not far from it: the range
of float16 is enough and its 11 bits are worth more than the range of bfloat16. The features are
lifted by 16 first, so that the Gram matrix, whose trace is 1, has a trace of 256 and stays clear of
the subnormal numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from gcp_mm.ops.gram.matrices import SymmetricBlocks
from gcp_mm.ops.gram.tables import mix_positions, symmetric_from_triangle, triangle
from gcp_mm.ops.precision import compute_dtype
from gcp_mm.ops.triton_kernels import packed_product, packed_symmetric_matmul, triton_status

HALVES = (torch.float16, torch.bfloat16)
ALIGNED_POSITIONS = 16
MOST_HALF_STEPS = 7
"""Each step makes q(K) up to 1.5 times larger, and the rounding of float16 with it."""


class RootTrace(NamedTuple):
    """The root of the trace of a covariance in two factors of shape (B, 1).

    Their product may be larger than any float where no element of the square root is.
    """

    largest: Tensor
    rest: Tensor

    def at_unit(self, unit: float) -> Tensor:
        """Return the product over ``unit``, for features whose dtype has a smaller range."""
        return self.largest * (self.rest / unit)


@dataclass(frozen=True)
class Carrier:
    """A way to store and multiply matrices."""

    dtype: torch.dtype
    fused: bool = False
    """Whether Triton kernels multiply them."""

    @classmethod
    def of(cls, x: Tensor, num_iters: int) -> Carrier:
        """Choose for features by their dtype and device, and the number of steps."""
        half = x.device.type == "cuda" and x.dtype in HALVES and num_iters <= MOST_HALF_STEPS
        return cls(torch.float16 if half else compute_dtype(x), triton_status(x) is None)

    @property
    def lift(self) -> float:
        """Factor of the features; its square is the unit of the Gram matrix."""
        return 16.0 if self.dtype == torch.float16 else 1.0

    def mixes(self, channels: int, positions: int) -> bool:
        """Say whether positions are mixed: for float16, where the matrices are N x N."""
        return self.lift != 1 and positions < channels

    def mix(self, features: Tensor) -> Tensor:
        """Mix the positions of features (B, C, N), if this carrier does."""
        return mix_positions(features) if self.mixes(*features.shape[1:]) else features

    def carry(self, features: Tensor) -> Tensor:
        """Lift and cast normalised features (B, C, N).

        For the kernels, positions of zeros are added up to a multiple of 16: they change no sum,
        and aligned rows are read faster.
        """
        if self.lift != 1:
            features = features * self.lift
        if self.fused:
            features = pad(features, (0, -features.shape[-1] % ALIGNED_POSITIONS))
        return features.to(self.dtype)

    def gram(self, features: Tensor) -> SymmetricBlocks:
        """Multiply carried features (B, C, N) to the smaller of their two Gram matrices."""
        left, right = features, features.mT
        if features.shape[-1] < features.shape[-2]:
            left, right = right, left
        return SymmetricBlocks.product(left, right, self.lift**2, self.fused)

    def packed_product(
        self, left: Tensor, right: Tensor, root_trace: RootTrace, out: Tensor
    ) -> Tensor:
        """Write the upper triangles of ``left @ right.mT``, a symmetric matrix, as ``scaled``."""
        if not self.fused:
            return self.scaled(triangle(left @ right.mT), root_trace, out)
        if self.lift == 1:
            found = packed_product(left, right, root_trace.rest)
            return torch.mul(found, root_trace.largest, out=out)
        scale = root_trace.at_unit(self.lift**2)
        return out.copy_(packed_product(left, right, scale, dtype=out.dtype))

    def scaled(self, triangles: Tensor, root_trace: RootTrace, out: Tensor) -> Tensor:
        """Write triangles at the unit of the Gram matrix, times the root of the trace.

        ``out`` may have any dtype; the triangles (B, C (C + 1) / 2) are overwritten.
        """
        if self.lift == 1:
            return torch.mul(triangles.mul_(root_trace.rest), root_trace.largest, out=out)
        return torch.mul(triangles, root_trace.at_unit(self.lift**2), out=out)

    def magnitude(self, triangles: Tensor) -> Tensor:
        """Return what a gradient is divided by, of shape (B, 1).

        For float16 its norm, so that a loss scale, however large, does not matter; else 1.
        """
        if self.lift == 1:
            return triangles.new_ones(len(triangles), 1)
        # Scaled first: the squares of a gradient may leave the range of float32.
        largest = triangles.abs().amax(dim=1, keepdim=True)
        largest = torch.where(largest == 0, 1, largest)
        norm = largest * torch.linalg.vector_norm(triangles / largest, dim=1, keepdim=True)
        return torch.where(norm == 0, 1, norm)

    def symmetric_matmul(self, triangles: Tensor, right: Tensor, scale: Tensor) -> Tensor:
        """Return ``scale * (G + G^T) / 2 @ right`` for upper triangular G with these elements.

        The shapes are (B, C (C + 1) / 2), (B, C, N) and (B, 1).
        """
        if self.fused:
            return packed_symmetric_matmul(triangles, right, scale)
        return self.symmetric(triangles, right.shape[1], scale) @ right

    def symmetric(self, triangles: Tensor, size: int, scale: Tensor) -> Tensor:
        """Return ``scale * (G + G^T) / 2`` as matrices of shape (B, C, C)."""
        if self.lift != 1:
            triangles = triangles * scale
        return symmetric_from_triangle(triangles.to(self.dtype), size)
