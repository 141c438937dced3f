r"""The polynomial of n Newton-Schulz steps on symmetric matrices.

All iterates commute, so the coupled recurrence reduces to R = Z Y alone, from :math:`R_0 = K`:

.. math::

    q(K) = t(R_0)\, t(R_1) \cdots t(R_{n-1}), \qquad t(r) = \tfrac12 (3 - r), \qquad
    R_{k+1} = R_k\, t(R_k)^2

and K q(K) approximates the square root. Two steps at once cost fewer products than two steps:

.. math::

    t(r)\, t(r\,t(r)^2) = p(r) = \tfrac94 + \tfrac{13}{16} (s - r) + \tfrac1{16}\, s\, (s - 5 r),
    \quad s = r^2 - 2 r = (1 - r)^2 - 1, \qquad R_{k+2} = R_k\, p(R_k)^2

The identity is carried as a number beside the matrix, which then is small where K is: rounding it
does not disturb what belongs to eigenvalues of zero, and as they sum to one, most are close to
that. At an eigenvalue of 1 the two parts of q cancel, after five steps 7.6 - 6.6: in half precision
that is harmless as long as the eigenvector does not lie at one position, see
:mod:`gcp_mm.ops.gram.tables`.

The recurrence is written once and runs on :class:`SymmetricBlocks` or on :class:`DualBlocks`,
which has the same operations and carries a derivative along by the product rule. There it also
gives D q(K)[W], which is self-adjoint for a symmetric K: started at the gradient of q(K) it is the
gradient of K, and a backward pass needs no stored iterates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from gcp_mm.ops.gram.matrices import SymmetricBlocks, cross_terms


@dataclass(frozen=True)
class DualBlocks:
    """Polynomials f(K) and their derivatives for one K and one symmetric W."""

    value: SymmetricBlocks
    tangent: SymmetricBlocks
    """D f(K)[W], at the scale of W and at unit 1."""

    def affine(self, factor: float, identity: float) -> DualBlocks:
        """See :meth:`SymmetricBlocks.affine`; the identity has no derivative."""
        return DualBlocks(self.value.affine(factor, identity), self.tangent.affine(factor, 0.0))

    def plus(self, factor: float, other: DualBlocks) -> DualBlocks:
        """See :meth:`SymmetricBlocks.plus`."""
        return DualBlocks(
            self.value.plus(factor, other.value), self.tangent.plus(factor, other.tangent)
        )

    def plus_product(
        self, keep: float, left: DualBlocks, right: DualBlocks, factor: float
    ) -> DualBlocks:
        """See :meth:`SymmetricBlocks.plus_product`; the product's derivative is dL R + L dR."""
        tangent = self.tangent.plus_product(keep, left.tangent, right.value, factor)
        return DualBlocks(
            self.value.plus_product(keep, left.value, right.value, factor),
            tangent.plus_product(1.0, left.value, right.tangent, factor, overwrite=True),
        )

    def times(self, other: DualBlocks) -> DualBlocks:
        """See :meth:`SymmetricBlocks.times`; the derivative is dA B + A dB."""
        a, b = self.value, other.value
        base, keep = cross_terms(self.tangent, a.identity, other.tangent, b.identity)
        tangent = base.plus_product(keep, self.tangent, b)
        return DualBlocks(a.times(b), tangent.plus_product(1.0, a, other.tangent, overwrite=True))

    def squared(self, plus: float = 0.0) -> DualBlocks:
        """See :meth:`SymmetricBlocks.squared`; the derivative of A A takes one product."""
        return DualBlocks(self.value.squared(plus), self.value.anticommutator(self.tangent, plus))


Matrices = TypeVar("Matrices", SymmetricBlocks, DualBlocks)


def _one_step(r: Matrices) -> Matrices:
    return r.affine(-0.5, 1.5)


def _two_steps(r: Matrices) -> Matrices:
    # Neither r nor s has an identity part, so these are the whole products.
    s = r.squared(plus=-2.0)
    p = s.plus(-1.0, r).plus_product(13 / 16, s, s.plus(-5.0, r), 1 / 16)
    return p.affine(1.0, 9 / 4)


def root_polynomial(gram: Matrices, num_iters: int, *, times_gram: bool) -> Matrices:
    """Evaluate q(K), or the root K q(K), at the unit of K.

    K has eigenvalues in [0, 1], and no part of it is kept as ``identity``.
    """

    def factor(r: Matrices, done: int) -> Matrices:
        return _one_step(r) if done + 1 == num_iters else _two_steps(r)

    r, p = gram, factor(gram, 0)
    q = r.times(p) if times_gram else p
    for done in range(2, num_iters, 2):
        # Where the first q is K p(K), K p(K)^2 is one product away, not two.
        r = q.times(p) if times_gram and done == 2 else r.times(p.squared())
        p = factor(r, done)
        q = q.times(p)
    return q
