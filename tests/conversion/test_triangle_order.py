import pytest
import torch

from gcp_mm.conversion.convert import column_positions, reorder_classifier
from gcp_mm.ops import triu_vec


def test_pinned_positions():
    # Row order 00 01 02 11 12 22; column order 00 01 11 02 12 22.
    assert column_positions(3).tolist() == [0, 1, 3, 2, 4, 5]


@pytest.mark.parametrize("width", [1, 2, 5, 16])
def test_product_with_the_vector_does_not_change(width, worst):
    generator = torch.Generator().manual_seed(width)
    half = torch.randn(3, width, width, generator=generator, dtype=torch.float64)
    matrices = half + half.mT
    weight = torch.randn(4, width * (width + 1) // 2, generator=generator, dtype=torch.float64)
    columns = [matrices[:, i, j] for j in range(width) for i in range(j + 1)]
    expected = torch.stack(columns, 1) @ weight.T
    reordered = reorder_classifier(weight, width)
    assert worst(triu_vec(matrices) @ reordered.T, expected) < 1e-12
    assert torch.equal(reorder_classifier(reordered, width, inverse=True), weight)
