r"""The polynomial of n Newton-Schulz steps on symmetric matrices.

All iterates commute, so the coupled recurrence reduces to R = Z Y alone, from :math:`R_0 = K`:

.. math::

    q(K) = t(R_0)\, t(R_1) \cdots t(R_{n-1}), \qquad t(r) = \tfrac12 (3 - r), \qquad
    R_{k+1} = R_k\, t(R_k)^2

and K q(K) approximates the square root. Two steps at once cost fewer products than two steps:

.. math::

    t(r)\, t(r\,t(r)^2) = p(r) = 1 + 0.5\, e + e^2 (0.375 + 0.3125\, e + 0.0625\, e^2),
    \quad e = 1 - r, \qquad R_{k+2} = R_k\, p(R_k)^2

In e no coefficient is negative, so that nothing cancels at eigenvalues close to 1.

On :class:`DualBlocks` the same lines also give the derivative D q(K)[W]. It is self-adjoint for a
symmetric K: started at the gradient of q(K) it is the gradient of K, and a backward pass needs no
stored iterates.
"""

from __future__ import annotations

from typing import TypeVar

from gcp_mm.ops.dual_blocks import DualBlocks
from gcp_mm.ops.symmetric_blocks import SymmetricBlocks

Matrices = TypeVar("Matrices", SymmetricBlocks, DualBlocks)


def _one_step(r: Matrices) -> Matrices:
    return r.affine(-0.5, 1.5)


def _two_steps(r: Matrices) -> Matrices:
    e = r.affine(-1.0, 1.0)
    square = e.squared()
    inner = e.affine(0.3125, 0.375).add_(square, 0.0625)
    return e.affine(0.5, 1.0).add_product_(square, inner)


def root_polynomial(gram: Matrices, num_iters: int, *, times_gram: bool) -> Matrices:
    """Evaluate q(K), or K q(K).

    Args:
        gram: K, with eigenvalues in [0, 1].
        num_iters: Number of Newton-Schulz steps n.
        times_gram: Whether to multiply by K, which makes it the root itself.

    Returns:
        q(K) at unit 1, or K q(K) at the unit of K.
    """
    r, q = gram, None
    for first in range(0, num_iters, 2):
        p = _one_step(r) if first + 1 == num_iters else _two_steps(r)
        last = first + 2 >= num_iters
        if q is not None:
            q = q.times(p)
        elif times_gram:
            q = r.times(p)
        else:
            q = p
        if not last:
            r = q.times(p) if times_gram and first == 0 else r.times(p.squared())
    return q
