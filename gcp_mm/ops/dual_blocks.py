"""Symmetric matrices with a derivative attached: forward-mode differentiation by the product rule.

It has the operations of :class:`SymmetricBlocks`, so that a recurrence which is written once runs
on values alone or on values and derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

from gcp_mm.ops.symmetric_blocks import SymmetricBlocks, cross_terms


@dataclass(frozen=True)
class DualBlocks:
    """Polynomials f(K) and D f(K)[W] for one K and one symmetric W.

    Attributes:
        value: f(K).
        tangent: D f(K)[W], at the scale of W and at unit 1.
    """

    value: SymmetricBlocks
    tangent: SymmetricBlocks

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
