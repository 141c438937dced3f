"""The polynomial of :mod:`gcp_mm.ops.gram.polynomial` as a list of products of numbered matrices.

A kernel in which one program computes all of q(K) reads it as its instructions, so that there is
one piece of machine code for every number of steps. Matrices lie in slots; K comes in slot 0. As
in ``polynomial.py`` a matrix is stored without its identity, which here is known beforehand: q has
one factor 3/2 of each step. A derivative takes the same list: of a product A B it is dA B + A dB,
and what is added is linear.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Product(NamedTuple):
    """``out = alpha * left @ right + beta * a + gamma * b``, and ``second = out + delta * c``.

    A factor of zero leaves out what it belongs to.
    """

    out: int
    second: int
    left: int
    right: int
    a: int
    b: int
    c: int
    alpha: float
    beta: float
    gamma: float = 0.0
    delta: float = 0.0


class Recipe(NamedTuple):
    """q(K) is ``identity * I + factor *`` the matrix in the slot ``result``, after the products."""

    products: tuple[Product, ...]
    slots: int
    result: int
    factor: float
    identity: float


class _Slots:
    """Numbers of matrices that hold nothing any more."""

    def __init__(self) -> None:
        self.count, self.free = 1, list[int]()

    def take(self) -> int:
        """Return the number of a free slot."""
        if self.free:
            return self.free.pop()
        self.count += 1
        return self.count - 1


@cache
def recipe(num_iters: int) -> Recipe:
    """List the products of a number of steps; no product writes over what it reads."""
    if num_iters == 1:
        return Recipe((), 1, 0, -0.5, 1.5)
    slots = _Slots()
    products: list[Product] = []

    def two_steps(r: int) -> int:
        s, m, p = slots.take(), slots.take(), slots.take()
        products.append(Product(s, m, r, r, a=r, b=r, c=r, alpha=1, beta=-2, delta=-5))
        products.append(Product(p, p, s, m, s, r, r, alpha=1 / 16, beta=13 / 16, gamma=-13 / 16))
        slots.free += [s, m]
        return p

    r = 0
    q = p = two_steps(r)
    for done in range(2, num_iters, 2):
        t, following = slots.take(), slots.take()
        products.append(Product(t, t, p, p, a=p, b=p, c=p, alpha=1, beta=2 * 9 / 4))
        products.append(Product(following, following, r, t, r, r, r, alpha=1, beta=(9 / 4) ** 2))
        slots.free += [r, t] if p == q else [r, t, p]
        r, old = following, q
        if done + 1 == num_iters:
            q = slots.take()
            factors = (-0.5, 1.5, -0.5 * 1.5**done)
            products.append(Product(q, q, old, r, old, r, r, *factors))
        else:
            p, q = two_steps(r), slots.take()
            products.append(Product(q, q, old, p, old, p, p, 1, 9 / 4, 1.5**done))
            slots.free.append(old)
    return Recipe(tuple(products), slots.count, q, 1.0, 1.5**num_iters)
