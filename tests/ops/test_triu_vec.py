import numpy as np
import pytest
import torch

from gcp_mm.ops import triu_vec


def test_order_for_three_channels():
    names = torch.tensor([[0, 1, 2], [10, 11, 12], [20, 21, 22]])
    assert triu_vec(names).tolist() == [0, 1, 2, 11, 12, 22]


@pytest.mark.parametrize("size", [1, 2, 3, 17])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
def test_order_of_numpy_triu_indices(size, batch):
    matrices = torch.arange(np.prod([*batch, size, size])).reshape(*batch, size, size)
    rows, cols = np.triu_indices(size)
    assert np.array_equal(triu_vec(matrices), matrices.numpy()[..., rows, cols])


def test_gradient_stays_on_the_upper_elements(pulled_back, normal):
    g = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    _, gradient = pulled_back(triu_vec, normal(3, 3, dtype=torch.float32), g)
    assert gradient.tolist() == [[1, 2, 3], [0, 4, 5], [0, 0, 6]]


def test_nothing_is_scaled_on_a_transposed_view(normal):
    matrix = normal(4, 4)
    expected = matrix.T.numpy()[np.triu_indices(4)]
    assert np.array_equal(triu_vec(matrix.mT), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_dtype_is_kept(dtype):
    assert triu_vec(torch.ones(2, 2, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(("shape", "named"), [((2, 3), r"\(2, 3\)"), ((9,), r"\(9,\)")])
def test_error_names_the_shape(shape, named):
    with pytest.raises(ValueError, match=named):
        triu_vec(torch.zeros(shape))
