import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import symmetric_baddbmm
from gcp_mm.ops.triton_kernels.fallback import interpreting

SHAPES = [(1, 1), (2, 5), (2, 16), (2, 37), (1, 49), (1, 196), (0, 5)]


@pytest.fixture
def symmetric(draw, dtype):
    """Three polynomials of one symmetric matrix, the first with eigenvalues in [0, 1]."""

    def matrices(batch, size, dtype=dtype):
        x = draw(batch, size, size + 3).double()
        gram = x @ x.mT
        gram /= gram.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None]
        return [matrix.to(dtype) for matrix in (gram, 1.5 * gram - 0.5 * gram @ gram, gram @ gram)]

    return matrices


def expected(c, a, b, beta, alpha):
    a, b, c = (matrix.double().cpu() for matrix in (a, b, c))
    return beta * c + alpha * a @ b


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value(symmetric, check, shape):
    c, a, b = symmetric(*shape)
    found = symmetric_baddbmm(c, a, b, 1.5, -0.5)
    assert found.shape == (shape[0], shape[1], shape[1])
    if shape[0]:
        check(found, expected(c, a, b, 1.5, -0.5))


def test_factors_that_are_not_symmetric(draw, check, dtype):
    t, d = (matrix + matrix.mT for matrix in (draw(2, 37, 37), draw(2, 37, 37, seed=1)))
    c, a, b = (matrix.to(dtype) for matrix in (d, t, d @ t))
    # Rounding d @ t makes t @ (d @ t) asymmetric, in half precision by more than its own error.
    error = 4e-3 if dtype == torch.float16 else None
    check(symmetric_baddbmm(c, a, b, 1, 1), expected(c, a, b, 1, 1), error=error)


def test_symmetric_to_the_last_bit(symmetric, device):
    if device.type == "cpu" and not interpreting():
        pytest.skip("the plain twin computes both halves")
    found = symmetric_baddbmm(*symmetric(2, 69), 1.5, -0.5)
    assert torch.equal(found, found.mT)


def test_one_half_of_the_product_is_enough(draw, device, check, dtype):
    """What the lower half would be is not even looked at."""
    if device.type == "cpu" and not interpreting():
        pytest.skip("the plain twin computes both halves")
    a, b = draw(1, 69, 69, dtype=dtype), draw(1, 69, 69, seed=1, dtype=dtype)
    upper = (a.double() @ b.double()).triu().cpu()
    check(symmetric_baddbmm(a, a, b, 0, 1), upper + upper.mT - upper * torch.eye(69))


@pytest.fixture
def gram(draw, dtype):
    """The product of features with themselves, of trace 256, and the features."""

    def product(shape, layout=lambda x: x):
        x = draw(*shape)
        x = layout((16 * x / x.square().sum((1, 2), keepdim=True).sqrt()).to(dtype))
        c = torch.empty(len(x), x.shape[1], x.shape[1], dtype=dtype, device=x.device)
        return symmetric_baddbmm(c, x, x.mT, 0, 1, out=c), x

    return product


def inner_products(x):
    """In numpy, in float64."""
    return np.stack([np.inner(sample, sample) for sample in x.double().cpu().numpy()])


@pytest.mark.parametrize(
    "shape", [(2, 37, 53), (2, 53, 37), (2, 1, 7), (1, 49, 256), (2, 5, 1)], ids=str
)
def test_product_of_features(gram, check, shape):
    found, x = gram(shape)
    check(found, inner_products(x))


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


def transposed(x):
    return x.mT.contiguous().mT


@pytest.mark.parametrize("layout", [channels_last, cropped, scattered, transposed])
@pytest.mark.parametrize("shape", [(2, 37, 49), (2, 69, 49), (1, 64, 49)], ids=str)
def test_features_in_any_layout(gram, check, layout, shape):
    found, x = gram(shape, layout)
    assert not x.is_contiguous()
    check(found, inner_products(x))


@pytest.mark.parametrize("aligned", [False, True])
def test_strides(symmetric, check, device, dtype, aligned):
    """Transposed, padded, expanded and scattered matrices; a padded output is filled in place."""
    c, a, b = symmetric(3, 37)
    padded = torch.full((3, 37, 64 if aligned else 41), float("nan"), dtype=dtype, device=device)
    padded[..., :37] = a
    scattered = torch.full((3, 37, 74), float("nan"), dtype=dtype, device=device)
    scattered[..., ::2] = b
    out = torch.empty((3, 48, 48), dtype=dtype, device=device)[:, 5:42, :37]
    found = symmetric_baddbmm(c.mT, padded[..., :37], scattered[..., ::2], 1.5, -0.5, out)
    assert found is out
    check(out, expected(c, a, b, 1.5, -0.5))
    one = a[:1].expand(3, -1, -1)
    check(symmetric_baddbmm(one, one, one, 1.5, -0.5), expected(one, one, one, 1.5, -0.5))


def test_output_over_c(symmetric, check):
    c, a, b = symmetric(2, 69)
    target = expected(c, a, b, 1.5, -0.5)
    check(symmetric_baddbmm(c, a, b, 1.5, -0.5, out=c), target)


def test_c_is_not_read_with_a_factor_of_zero(symmetric, check):
    c, a, b = symmetric(2, 37)
    found = symmetric_baddbmm(torch.full_like(c, float("nan")), a, b, 0, 2)
    check(found, expected(c, a, b, 0, 2))


def test_nan_is_not_hidden(symmetric):
    c, a, b = symmetric(2, 20)
    a[1, 3, 4] = float("nan")
    found = symmetric_baddbmm(c, a, b, 1.5, -0.5)
    assert found[0].isfinite().all()
    assert found[1, 3, 3:].isnan().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": torch.zeros(4, 4)}, r"c must be .* three dimensions, got \(4, 4\)"),
        ({"c": torch.zeros(2, 4, 4, dtype=torch.int32)}, "c must be a floating-point .*int32"),
        ({"c": torch.zeros(2, 4, 3)}, r"c must have shape \(2, 4, 4\), got \(2, 4, 3\)"),
        ({"a": torch.zeros(2, 3, 4)}, r"a must have shape \(2, 4, 4\), got \(2, 3, 4\)"),
        ({"a": torch.zeros(2, 4, 3)}, r"b must have shape \(2, 3, 4\), got \(2, 4, 4\)"),
        ({"a": torch.zeros(4, 4)}, r"a must be .* three dimensions, got \(4, 4\)"),
        ({"b": torch.zeros(1, 4, 4)}, r"b must have shape \(2, 4, 4\), got \(1, 4, 4\)"),
        ({"b": torch.zeros(2, 4, 4, device="meta")}, "b must be on cpu, got meta"),
        ({"b": torch.zeros(2, 4, 4).half()}, "c and b must have one dtype, .*float32 .*float16"),
        ({"out": torch.zeros(2, 4, 5)}, r"out must have shape \(2, 4, 4\), got \(2, 4, 5\)"),
        ({"out": torch.zeros(2, 4, 8)[..., ::2]}, r"out needs .* got strides \(32, 8, 2\)"),
        ({"out": "a"}, "out must not share memory with a or b"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_error_names_the_tensor(change, message):
    arguments = {name: torch.zeros(2, 4, 4) for name in "abc"} | change
    if arguments.get("out") == "a":
        arguments["out"] = arguments["a"]
    with pytest.raises(ValueError, match=message):
        symmetric_baddbmm(**arguments, beta=1.5, alpha=-0.5)
