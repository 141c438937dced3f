"""The orders of the triangle, the full matrix and the sketch."""

import numpy as np
import pytest
import torch

from gcp_mm.ops.second_order import L2, CountSketch, Full, Triangle

ORDERS = {"upper_rows": "fast_mpn_cov", "lower_rows": "gsop"}


@pytest.mark.parametrize("size", [3, 6])
@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_those_of_the_originals(family, order, size):
    expected = family("triangle_orders")[f"{ORDERS[order]}_{size}"]
    places = torch.arange(size * size).view(1, size, size)
    assert Triangle(order)(places)[0].tolist() == expected.tolist()


@pytest.mark.parametrize("part", [Triangle(), Triangle("lower_rows"), Full()], ids=str)
def test_what_the_layer_returns_is_brought_into_the_order(normal, part):
    matrix = normal(2, 5, 5)
    matrix = matrix + matrix.mT
    vector = part(matrix)
    assert torch.equal(part.from_upper_rows(Triangle()(matrix), 5), vector)
    assert vector.shape[1] == part.length(5)


def test_sketch_before_its_root(family, worst):
    golden = family("cbp_tall")
    x = torch.tensor(golden["x"]).flatten(2)
    sketch = CountSketch(16, 32)
    sketch.buckets.copy_(torch.tensor(golden["h"]))
    sketch.signs.copy_(torch.tensor(golden["s"]))
    assert worst(sketch(x @ x.mT), golden["raw"]) < 1e-12


def test_sketch_estimates_products(normal):
    """Its inner products have the expectation of those of the matrices, over the tables."""
    one, other = normal(1, 4, 4), normal(1, 4, 4, seed=1)
    sketches = [CountSketch(4, 64, seed) for seed in range(2000)]
    found = [float((sketch(one) * sketch(other)).sum()) for sketch in sketches]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - float((one * other).sum())) < 4 * error


def test_tables_are_kept_and_leave_the_seed_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    sketch = CountSketch(5, 7)
    assert torch.equal(torch.rand(2), expected)
    assert set(sketch.state_dict()) == {"buckets", "signs"}
    assert torch.equal(CountSketch(5, 7).buckets, sketch.buckets)
    assert not torch.equal(CountSketch(5, 7, seed=2).buckets, sketch.buckets)
    assert set(sketch.signs.unique().tolist()) == {-1, 1}


def test_unit_length():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert L2()(vectors).tolist() == [pytest.approx([0.6, 0.8]), [0.0, 0.0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Triangle("rows"), "order must be one of 'upper_rows', 'lower_rows', got 'rows'"),
        (lambda: CountSketch(4, 0), "dim must be an integer >= 1, got 0"),
        (lambda: CountSketch(4, 8)(torch.zeros(1, 5, 5)), "for 4 rows, got matrices 5 x 5"),
    ],
)
def test_arguments_without_a_meaning(make, words):
    with pytest.raises(ValueError, match=words):
        make()
