r"""Forward and backward pass of the layer on the smaller of the two Gram matrices.

With :math:`\hat X = (X - \bar X) / \sqrt{N t}`, where :math:`t = \operatorname{tr} C`,

.. math::

    S = \sqrt t\, \hat X\, q(K)\, \hat X^\top, \quad K = \hat X^\top \hat X \quad (N < C), \qquad
    S = \sqrt t\, A\, q(A), \quad A = \hat X \hat X^\top \quad (N \ge C)

Backward, with the symmetric matrix :math:`\tilde G` of the incoming gradient, and D the derivative
of q at K (or of A q(A)), which is self-adjoint:

.. math::

    H = \tilde G \hat X, \quad g = H q(K) + \hat X\, D[\hat X^\top H], \quad
    \pi = \langle H q(K), \hat X \rangle \quad (N < C), \qquad
    g = D[\tilde G]\, \hat X, \quad \pi = \langle \tilde G, A\, q(A) \rangle \quad (N \ge C)

    \frac{\partial L}{\partial X} = \frac{1}{\sqrt N}
    \bigl( 2 g + (\pi - 2 \langle g, \hat X \rangle)\, \hat X \bigr)

Where A is zero, the iterates have derivatives of :math:`1.5^n \tilde G` and more, of which where A
is one nothing but the rounding is left. After many steps the derivative of A q(A) is therefore
taken in a direction that is as small as A, for two products more:

.. math:: D[\tilde G] = \tfrac12
    \bigl(\tilde G\, q(A) + q(A)\, \tilde G + D_q[A \tilde G + \tilde G A]\bigr)

Neither the scale nor the mean of X occurs in it: the layer is homogeneous of degree one and does
not see a shift. The rows of g already sum to zero, so nothing has to be centred. In half precision
:math:`\hat X` has its positions mixed, and the gradient is unmixed at the end.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gcp_mm.ops.gram.arithmetic import Carrier, RootTrace
from gcp_mm.ops.gram.matrices import SymmetricBlocks
from gcp_mm.ops.gram.polynomial import DualBlocks, root_polynomial
from gcp_mm.ops.gram.tables import triangle, unmix_positions

FEW_STEPS = 5
"""Up to these, which the published models use, float32 has digits to spare for D of A q(A)."""


def normalise(x: Tensor) -> tuple[Tensor, RootTrace]:
    """Shift and scale each sample of (B, C, N) to mean zero and Frobenius norm one.

    A sample without variance becomes zero. The second result is the root of the covariance's trace.
    """
    shifted = x - x[..., :1]
    # To largest magnitude 1 first, so that squares neither over- nor underflow. Reductions only:
    # on a CPU a temporary tensor of this size costs more than the arithmetic.
    largest, smallest = (f(shifted, dim=(-2, -1), keepdim=True) for f in (torch.amax, torch.amin))
    scale = torch.maximum(largest, -smallest)
    scale = torch.where(scale > 0, scale, 1)
    centred = shifted.div_(scale)
    centred -= centred.mean(dim=-1, keepdim=True)
    # Channel by channel first: a float32 sum over all elements at once loses a digit.
    by_channel = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
    square = torch.linalg.vector_norm(by_channel, dim=-2, keepdim=True).square()
    # Not `square > tiny`, which would turn NaN features into zeros and hide a divergence.
    degenerate = square <= x.shape[-1] * torch.finfo(x.dtype).tiny
    inverse = torch.where(degenerate, 0, torch.where(degenerate, 1, square).rsqrt())
    rest = (square / x.shape[-1]).sqrt()
    return centred.mul_(inverse), RootTrace(scale.flatten(1), rest.flatten(1))


def gram_forward(x: Tensor, num_iters: int, carrier: Carrier, out: Tensor) -> Tensor:
    """Write the vectors (B, C (C + 1) / 2) of features (B, C, N) to ``out``, in any dtype.

    The features are float32 or float64.
    """
    normalised, root_trace = normalise(x)
    features = carrier.carry(carrier.mix(normalised))
    gram = carrier.gram(features)
    if features.shape[-1] < features.shape[-2]:
        q = root_polynomial(gram, num_iters, times_gram=False)
        return carrier.packed_product(_times(features, q), features, root_trace, out)
    root = root_polynomial(gram, num_iters, times_gram=True).dense()
    return carrier.scaled(triangle(root), root_trace, out)


def gram_backward(grad: Tensor, x: Tensor, num_iters: int, carrier: Carrier, out: Tensor) -> Tensor:
    """Write the gradient of the features ``x`` (B, C, N) to ``out``, in any dtype.

    It comes from the features alone and the gradient of the vectors (B, C (C + 1) / 2), both
    float32 or both float64.
    """
    normalised = carrier.mix(normalise(x)[0])
    positions = normalised.shape[-1]
    features = carrier.carry(normalised)
    gram = carrier.gram(features)
    magnitude = carrier.magnitude(grad)
    if features.shape[-1] < features.shape[-2]:
        pulled = carrier.symmetric_matmul(grad, features, 1 / magnitude)
        direction = SymmetricBlocks.product(features.mT, pulled, fused=carrier.fused)
        dual = root_polynomial(DualBlocks(gram, direction), num_iters, times_gram=False)
        g = _times(pulled, dual.value)
        along = _dot(g[..., :positions], normalised)
        g = torch.baddbmm(g, features, dual.tangent.dense(), alpha=1 / gram.unit, out=g)
    else:
        incoming = carrier.symmetric(grad, x.shape[1], 1 / magnitude)
        direction = SymmetricBlocks.from_dense(incoming, fused=carrier.fused)
        if num_iters <= FEW_STEPS or carrier.lift != 1:
            dual = root_polynomial(DualBlocks(gram, direction), num_iters, times_gram=True)
            tangent, along = dual.tangent, _dot(incoming, dual.value.dense().to(x.dtype))
            along /= carrier.lift
        else:
            small = DualBlocks(gram, gram.anticommutator(direction))
            dual = root_polynomial(small, num_iters, times_gram=False)
            tangent = dual.value.anticommutator(direction)
            along = _dot(tangent.dense(), gram.dense()) / 2
            tangent = tangent.plus(1.0, dual.tangent).affine(0.5, 0.0)
        g = tangent.dense() @ features
    g = g[..., :positions].to(x.dtype)
    radial = along - 2 * _dot(g, normalised)
    scale = magnitude[..., None] / (carrier.lift * math.sqrt(x.shape[-1]))
    mixed = carrier.mixes(*x.shape[1:])
    torch.addcmul(g.mul_(2 * scale), normalised, radial * scale, out=g if mixed else out)
    return out.copy_(unmix_positions(g, x.shape[-1])) if mixed else out


def _times(left: Tensor, right: SymmetricBlocks) -> Tensor:
    """Return ``left @ right``, of shape (B, L, M), for ``left`` of that shape."""
    return torch.baddbmm(left, left, right.stored, beta=right.identity, alpha=1 / right.unit)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.mul(a, b).sum(dim=(-2, -1), keepdim=True)
