import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import centred_gram

SHAPES = [(2, 37, 53), (2, 53, 37), (2, 1, 7), (1, 256, 49), (2, 16, 16)]


def statistics(x, trace):
    """Mean of each channel, and the scale that gives the Gram matrix a trace."""
    mean = x.float().mean(-1, keepdim=True)
    energy = (x.float() - mean).square().sum((1, 2), keepdim=True)
    return mean, torch.where(energy > 0, trace / energy, 0).sqrt()


def expected(x, trace):
    """From ``numpy.cov`` of the channels or, less directly, of the positions."""
    grams = []
    for sample in x.double().cpu().numpy():
        gram = np.cov(sample, bias=True).reshape(2 * sample.shape[:1]) * sample.shape[1]
        factor = trace / np.trace(gram)
        if sample.shape[1] < sample.shape[0]:
            centred = sample - sample.mean(axis=1, keepdims=True)
            gram = centred.T @ centred
        grams.append(gram * factor)
    return np.stack(grams)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value(draw, check, dtype, shape):
    x = draw(*shape)
    check(centred_gram(x, *statistics(x, 256), dtype=dtype), expected(x, 256))


@pytest.mark.parametrize("features", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(2, 37, 20), (2, 20, 37)], ids=str)
def test_features_in_half_precision(draw, check, dtype, features, shape):
    x = draw(*shape, dtype=features)
    check(centred_gram(x, *statistics(x, 256), dtype=dtype), expected(x, 256))


@pytest.mark.parametrize("channels", [1, 5])
def test_one_position_has_no_variance(draw, dtype, channels):
    x = draw(2, channels, 1)
    found = centred_gram(x, *statistics(x, 256), dtype=dtype)
    assert found.shape == (2, 1, 1)
    assert found.dtype == dtype
    assert not found.any()


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
def test_strides(draw, check, layout, shape, dtype):
    x = draw(*shape, dtype=dtype)
    view = layout(x)
    assert not view.is_contiguous()
    check(centred_gram(view, *statistics(x, 256), dtype=dtype), expected(x, 256))


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 37, 20), 32), ((1, 70, 90), 80), ((1, 8, 16), 16)], ids=str
)
def test_padding_is_zero(draw, check, dtype, shape, size):
    x = draw(*shape)
    found = centred_gram(x, *statistics(x, 256), dtype=dtype, multiple=16)
    inner = min(shape[1:])
    assert found.shape == (shape[0], size, size)
    check(found[:, :inner, :inner], expected(x, 256))
    assert not found[:, inner:].any()
    assert not found[:, :, inner:].any()


def test_strides_of_the_statistics(draw, check, dtype):
    x = draw(1, 37, 20).expand(3, -1, -1)
    mean, scale = statistics(x[:1], 256)
    mean = mean.repeat_interleave(2, dim=1)[:, ::2].expand(3, -1, -1)
    check(centred_gram(x, mean, scale.expand(3, -1, -1), dtype=dtype), expected(x, 256))


def test_large_mean_costs_no_digits(draw, check, dtype):
    x = draw(2, 37, 53) + 1024
    _, scale = statistics(x - 1024, 256)
    mean = 1024 + (x - 1024).mean(-1, keepdim=True)
    check(centred_gram(x, mean, scale, dtype=dtype), expected(x, 256))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 4, 3, 3)}, r"x must be .* three dimensions, got \(2, 4, 3, 3\)"),
        ({"mean": torch.zeros(2, 4)}, r"mean must have shape \(2, 4, 1\), got \(2, 4\)"),
        ({"scale": torch.zeros(2)}, r"scale must have shape \(2, 1, 1\), got \(2,\)"),
    ],
    ids=["x", "mean", "scale"],
)
def test_error_names_the_tensor(change, message):
    arguments = {
        "x": torch.zeros(2, 4, 9),
        "mean": torch.zeros(2, 4, 1),
        "scale": torch.ones(2, 1, 1),
    }
    with pytest.raises(ValueError, match=message):
        centred_gram(**(arguments | change))
