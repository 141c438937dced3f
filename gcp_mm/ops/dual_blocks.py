"""Symmetric matrices with a derivative attached: forward-mode differentiation by the product rule.

It has the operations of :class:`SymmetricBlocks`, so that a recurrence which is written once runs
on values alone or on values and derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

from gcp_mm.ops.symmetric_blocks import SymmetricBlocks


@dataclass(frozen=True)
class DualBlocks:
    """Polynomials f(K) and D f(K)[W] for one K and one symmetric W.

    Attributes:
        value: f(K).
        tangent: D f(K)[W], at the scale of W and at unit 1.
    """

    value: SymmetricBlocks
    tangent: SymmetricBlocks

    def affine(self, factor: float, identity: float = 0.0) -> DualBlocks:
        """See :meth:`SymmetricBlocks.affine`; the identity has no derivative."""
        return DualBlocks(self.value.affine(factor, identity), self.tangent.affine(factor))

    def add_(self, other: DualBlocks, factor: float) -> DualBlocks:
        """See :meth:`SymmetricBlocks.add_`."""
        self.value.add_(other.value, factor)
        self.tangent.add_(other.tangent, factor)
        return self

    def add_product_(self, left: DualBlocks, right: DualBlocks, keep: float = 1.0) -> DualBlocks:
        """See :meth:`SymmetricBlocks.add_product_`; adds dA B + A dB to the derivative."""
        self.value.add_product_(left.value, right.value, keep)
        self.tangent.add_product_(left.tangent, right.value, keep)
        self.tangent.add_product_(left.value, right.tangent)
        return self

    def times(self, other: DualBlocks) -> DualBlocks:
        """See :meth:`SymmetricBlocks.times`."""
        empty = DualBlocks(self.value.empty_like(), self.tangent.empty_like())
        return empty.add_product_(self, other, keep=0)

    def squared(self) -> DualBlocks:
        """See :meth:`SymmetricBlocks.squared`; the derivative is A dA + dA A, one product."""
        return DualBlocks(self.value.squared(), self.value.anticommutator(self.tangent))
