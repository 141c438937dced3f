import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import smaller_gram, triton_status

SHAPES = [(2, 37, 53), (2, 53, 37), (2, 1, 7), (1, 256, 49), (2, 16, 16), (2, 5, 1)]


@pytest.fixture
def features(draw, dtype):
    """Features whose Gram matrix has a trace of 256."""

    def scaled(*shape):
        x = draw(*shape)
        return (16 * x / x.square().sum((1, 2), keepdim=True).sqrt()).to(dtype)

    return scaled


def expected(x):
    """In numpy, in float64."""
    rows = x.double().cpu().numpy()
    if x.shape[-1] < x.shape[-2]:
        rows = rows.swapaxes(1, 2)
    return np.stack([np.inner(sample, sample) for sample in rows])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value(features, check, shape):
    x = features(*shape)
    check(smaller_gram(x), expected(x))


def channels_last(x):
    maps = x.unflatten(2, (-1, 7)).contiguous(memory_format=torch.channels_last)
    return maps.flatten(2)


def cropped(x):
    wide = torch.full((*x.shape[:2], x.shape[2] + 11), float("nan"), dtype=x.dtype, device=x.device)
    wide[..., 3:-8] = x
    return wide[..., 3:-8]


def scattered(x):
    wide = torch.full((*x.shape[:2], 2 * x.shape[2]), float("nan"), dtype=x.dtype, device=x.device)
    wide[..., ::2] = x
    return wide[..., ::2]


@pytest.mark.parametrize("layout", [channels_last, cropped, scattered])
@pytest.mark.parametrize("shape", [(2, 37, 49), (2, 69, 49), (1, 64, 49)], ids=str)
def test_strides(features, check, layout, shape):
    x = features(*shape)
    view = layout(x)
    assert not view.is_contiguous()
    found = smaller_gram(view)
    assert found.is_contiguous()
    check(found, expected(x))


def test_one_matrix_for_all_samples(features, check):
    x = features(1, 37, 20).expand(3, -1, -1)
    check(smaller_gram(x), expected(x))


def test_result_is_symmetric_to_the_last_bit(features):
    x = features(2, 90, 70)
    if triton_status(x) is not None:
        pytest.skip("only the kernel mirrors one half")
    gram = smaller_gram(x)
    assert torch.equal(gram, gram.mT)


def test_error_names_the_tensor():
    with pytest.raises(ValueError, match=r"features must be .* three dimensions, got \(2, 4, 3"):
        smaller_gram(torch.zeros(2, 4, 3, 3))
