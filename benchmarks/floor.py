"""Operations that the ``gram`` form of the layer cannot do without."""

from __future__ import annotations

from gcp_mm.ops.gram.polynomial import root_polynomial


class CountedMatrices:
    """Stands in for the matrices of the recurrence and counts their products."""

    def __init__(self) -> None:
        self.products = 0

    def affine(self, *_: object) -> CountedMatrices:
        """Count nothing."""
        return self

    plus = affine

    def times(self, *_: object, **__: object) -> CountedMatrices:
        """Count a product."""
        self.products += 1
        return self

    plus_product = squared = times


def gram_operations(channels: int, positions: int, num_iters: int) -> float:
    """Count the floating-point operations of a sample's products, forward and backward.

    A product with a symmetric result counts as one half. The backward pass computes the iterates
    again, and for the derivative of each product A B the products dA B and A dB.

    Args:
        channels: C.
        positions: N.
        num_iters: Number of Newton-Schulz steps.
    """
    c, n, smaller = channels, positions, min(channels, positions)
    counted = CountedMatrices()
    root_polynomial(counted, num_iters, times_gram=n >= c)
    iterates = (1 + 3) * counted.products / 2 * smaller**3
    if n >= c:
        # The Gram matrix, twice, and the derivative times the features.
        return 2 * (iterates + c * c * n + c * c * n)
    # K twice, X q and the result; H = G X, X^T H, and H q + X D.
    forward = c * n * n / 2 + c * n * n + c * c * n / 2
    backward = c * n * n / 2 + c * c * n + c * n * n / 2 + 2 * c * n * n
    return 2 * (iterates + forward + backward)
