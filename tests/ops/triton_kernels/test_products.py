"""The three products against numpy in float64: plain twins, interpreted kernels, or on a GPU."""

import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import packed_product, packed_symmetric_matmul, symmetric_baddbmm
from gcp_mm.ops.triton_kernels.fallback import interpreting
from ops.devices import on_every_device

pytestmark = on_every_device

SHAPES = [(2, 37, 53), (1, 1, 1), (3, 5, 1), (2, 1, 7), (2, 16, 16), (0, 4, 3)]


@pytest.fixture
def kernels_run(device):
    if device.type == "cpu" and not interpreting():
        pytest.skip("the plain twins round earlier, and compute both halves")


def padded(x, width):
    """The same matrices in wider rows, with NaN behind them."""
    wide = torch.full((*x.shape[:2], width), float("nan"), dtype=x.dtype, device=x.device)
    wide[..., : x.shape[2]] = x
    return wide[..., : x.shape[2]]


def scattered(x):
    wide = torch.full((*x.shape[:2], 2 * x.shape[2]), float("nan"), dtype=x.dtype, device=x.device)
    wide[..., ::2] = x
    return wide[..., ::2]


def transposed(x):
    return x.mT.contiguous().mT


def upper_product(left, right, scale):
    left, right, scale = (tensor.double().cpu().numpy() for tensor in (left, right, scale))
    rows, columns = np.triu_indices(left.shape[1])
    return (left @ right.transpose(0, 2, 1))[:, rows, columns] * scale


@pytest.fixture
def factors(draw, dtype):
    """Factors x q and x with a symmetric product, and a scale for each sample."""

    def tensors(batch, channels, positions):
        x = draw(batch, channels, positions) / positions**0.5
        q = draw(batch, positions, positions, seed=1) / positions
        scale = 1 + draw(batch, 1, seed=2).abs()
        return (x @ (q + q.mT)).to(dtype), x.to(dtype), scale

    return tensors


@pytest.mark.parametrize("shape", [*SHAPES, (1, 256, 49)], ids=str)
def test_value_of_the_packed_product(factors, check, shape):
    left, right, scale = factors(*shape)
    found = packed_product(left, right, scale)
    assert found.shape == (shape[0], shape[1] * (shape[1] + 1) // 2)
    if shape[0]:
        check(found, upper_product(left, right, scale))


@pytest.mark.parametrize("to", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_dtype_of_the_packed_product(factors, check, dtype, to):
    left, right, scale = factors(2, 37, 53)
    found = packed_product(left, right, scale, dtype=to)
    check(
        found,
        upper_product(left, right, scale),
        dtype=to,
        error={torch.bfloat16: 5e-3}.get(to, 1e-3),
    )


def test_scale_of_the_packed_product_is_applied_before_rounding(device, kernels_run):
    """The largest float16 is 65504: the sum is beyond, the result is not."""
    x = torch.full((1, 1, 2), 256.0, dtype=torch.float16, device=device)
    found = packed_product(x, x, torch.full((1, 1), 2.0**-10, device=device))
    assert found.tolist() == [[128]]


def test_strides_of_the_packed_product(factors, check):
    left, right, scale = factors(3, 37, 20)
    target = upper_product(left, right, scale)
    lying = transposed(left)
    for view in (padded(right, 48), scattered(right)):
        check(packed_product(lying, view, scale), target)
        check(packed_product(view, lying, scale), upper_product(right, left, scale))
    one = scale[:1].expand(3, 1)
    check(packed_product(left, right, one), upper_product(left, right, one))


def one_for_each(x):
    return x.new_ones((len(x), 1), dtype=torch.float32)


def symmetric_product(packed, right, scale=1.0):
    """G~ from the definition: fill the upper triangle, then average with the transpose."""
    packed, right = (tensor.double().cpu().numpy() for tensor in (packed, right))
    size = right.shape[1]
    upper = np.zeros((len(right), size, size))
    rows, columns = np.triu_indices(size)
    upper[:, rows, columns] = packed
    return scale * (upper + upper.transpose(0, 2, 1)) / 2 @ right


@pytest.fixture
def operands(draw, dtype):
    def tensors(batch, channels, positions):
        packed = draw(batch, channels * (channels + 1) // 2, dtype=dtype)
        return packed, draw(batch, channels, positions, seed=1, dtype=dtype)

    return tensors


@pytest.mark.parametrize("shape", [*SHAPES, (1, 150, 49)], ids=str)
def test_value_of_the_packed_matmul(operands, check, shape):
    packed, right = operands(*shape)
    found = packed_symmetric_matmul(packed, right, one_for_each(right))
    assert found.shape == shape
    if shape[0]:
        check(found, symmetric_product(packed, right))


def test_a_gradient_at_one_element(device):
    """The element (0, 2) of G moves rows 0 and 2, by half; the diagonal element (1, 1) row 1."""
    right = torch.tensor([[[1.0], [10.0], [100.0]]], device=device)
    one = torch.eye(6, device=device)
    for i, expected in ((2, [50, 0, 0.5]), (3, [0, 10, 0])):
        found = packed_symmetric_matmul(one[i : i + 1], right, one_for_each(right))
        assert found.flatten().tolist() == expected


@pytest.mark.parametrize("gradient", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_scale_brings_a_gradient_into_range(operands, check, draw, gradient, dtype):
    packed, right = operands(2, 37, 20)
    # The largest float16 is 65504, and the other two dtypes go far beyond.
    factor = 1e4 if gradient == torch.float16 else 1e6
    packed = (packed.float() * factor).to(gradient)
    scale = torch.full((1, 1), 1 / factor, device=packed.device).expand(2, 1)
    found = packed_symmetric_matmul(packed, right, scale)
    check(found, symmetric_product(packed, right, 1 / factor))


def test_strides_of_the_packed_matmul(operands, check):
    packed, right = operands(3, 37, 20)
    target = symmetric_product(packed, right)
    scale = one_for_each(right)
    for view in (transposed(right), padded(right, 48), padded(right, 96)):
        check(packed_symmetric_matmul(packed, view, scale), target)
    scattered = packed.repeat_interleave(2, dim=1)[:, ::2]
    one = packed[:1].expand(3, -1)
    check(packed_symmetric_matmul(scattered, right, scale), target)
    check(packed_symmetric_matmul(one, right, scale), symmetric_product(one, right))


@pytest.fixture
def symmetric(draw, dtype):
    """Three polynomials of one symmetric matrix, the first with eigenvalues in [0, 1]."""

    def matrices(batch, size, dtype=dtype):
        x = draw(batch, size, size + 3).double()
        gram = x @ x.mT
        gram /= gram.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None]
        return [matrix.to(dtype) for matrix in (gram, 1.5 * gram - 0.5 * gram @ gram, gram @ gram)]

    return matrices


def sum_with_product(c, a, b, beta, alpha):
    a, b, c = (matrix.double().cpu() for matrix in (a, b, c))
    return beta * c + alpha * a @ b


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 5), (2, 16), (2, 37), (1, 49), (1, 132), (0, 5)], ids=str
)
def test_value_of_baddbmm(symmetric, check, shape):
    c, a, b = symmetric(*shape)
    found = symmetric_baddbmm(c, a, b, 1.5, -0.5)
    assert found.shape == (shape[0], shape[1], shape[1])
    if shape[0]:
        check(found, sum_with_product(c, a, b, 1.5, -0.5))


def test_factors_that_are_not_symmetric(draw, check, dtype):
    t, d = (matrix + matrix.mT for matrix in (draw(2, 37, 37), draw(2, 37, 37, seed=1)))
    c, a, b = (matrix.to(dtype) for matrix in (d, t, d @ t))
    # Rounding d @ t makes t @ (d @ t) asymmetric, in half precision by more than its own error.
    error = 4e-3 if dtype == torch.float16 else None
    check(symmetric_baddbmm(c, a, b, 1, 1), sum_with_product(c, a, b, 1, 1), error=error)


def test_symmetric_to_the_last_bit(symmetric, kernels_run):
    found = symmetric_baddbmm(*symmetric(2, 69), 1.5, -0.5)
    assert torch.equal(found, found.mT)


def test_one_half_of_the_product_is_enough(draw, check, dtype, kernels_run):
    """What the lower half would be is not even looked at."""
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


@pytest.mark.parametrize("layout", [channels_last, cropped, scattered, transposed])
@pytest.mark.parametrize("shape", [(2, 37, 49), (2, 69, 49), (1, 64, 49)], ids=str)
def test_features_in_any_layout(gram, check, layout, shape):
    found, x = gram(shape, layout)
    assert not x.is_contiguous()
    check(found, inner_products(x))


@pytest.mark.parametrize("aligned", [False, True])
def test_strides_of_baddbmm(symmetric, check, device, dtype, aligned):
    """Transposed, padded, expanded and scattered matrices; a padded output is filled in place."""
    c, a, b = symmetric(3, 37)
    wide = padded(a, 64 if aligned else 41)
    out = torch.empty((3, 48, 48), dtype=dtype, device=device)[:, 5:42, :37]
    assert symmetric_baddbmm(c.mT, wide, scattered(b), 1.5, -0.5, out) is out
    check(out, sum_with_product(c, a, b, 1.5, -0.5))
    one = a[:1].expand(3, -1, -1)
    check(symmetric_baddbmm(one, one, one, 1.5, -0.5), sum_with_product(one, one, one, 1.5, -0.5))


def test_output_over_c(symmetric, check):
    c, a, b = symmetric(2, 69)
    target = sum_with_product(c, a, b, 1.5, -0.5)
    check(symmetric_baddbmm(c, a, b, 1.5, -0.5, out=c), target)


def test_c_is_not_read_with_a_factor_of_zero(symmetric, check):
    c, a, b = symmetric(2, 37)
    found = symmetric_baddbmm(torch.full_like(c, float("nan")), a, b, 0, 2)
    check(found, sum_with_product(c, a, b, 0, 2))


def test_nan_is_not_hidden(symmetric):
    c, a, b = symmetric(2, 20)
    a[1, 3, 4] = float("nan")
    found = symmetric_baddbmm(c, a, b, 1.5, -0.5)
    assert found[0].isfinite().all()
    assert found[1, 3, 3:].isnan().all()


REFUSED = {
    packed_product: (
        dict(left=torch.zeros(2, 4, 9), right=torch.zeros(2, 4, 9), scale=torch.ones(2, 1)),
        [
            ({"left": torch.zeros(4, 9)}, r"left must be .* three dimensions, got \(4, 9\)"),
            (
                {"right": torch.zeros(2, 4, 8)},
                r"right must have shape \(2, 4, 9\), got \(2, 4, 8\)",
            ),
            (
                {"right": torch.zeros(2, 4, 9).half()},
                "left and right must have one dtype, .*float16",
            ),
            ({"scale": torch.zeros(2)}, r"scale must have shape \(2, 1\), got \(2,\)"),
        ],
    ),
    packed_symmetric_matmul: (
        dict(packed_grad=torch.zeros(2, 10), right=torch.zeros(2, 4, 9), scale=torch.ones(2, 1)),
        [
            ({"right": torch.zeros(4, 9)}, r"right must be .* three dimensions, got \(4, 9\)"),
            ({"packed_grad": torch.zeros(2, 9)}, r"packed_grad .* shape \(2, 10\), got \(2, 9\)"),
            ({"scale": torch.zeros(2)}, r"scale must have shape \(2, 1\), got \(2,\)"),
        ],
    ),
    symmetric_baddbmm: (
        dict({name: torch.zeros(2, 4, 4) for name in "abc"}, beta=1.5, alpha=-0.5),
        [
            ({"c": torch.zeros(4, 4)}, r"c must be .* three dimensions, got \(4, 4\)"),
            ({"c": torch.zeros(2, 4, 4, dtype=torch.int32)}, "c must be a floating-point .*int32"),
            ({"c": torch.zeros(2, 4, 3)}, r"c must have shape \(2, 4, 4\), got \(2, 4, 3\)"),
            ({"a": torch.zeros(2, 3, 4)}, r"a must have shape \(2, 4, 4\), got \(2, 3, 4\)"),
            ({"a": torch.zeros(2, 4, 3)}, r"b must have shape \(2, 3, 4\), got \(2, 4, 4\)"),
            ({"a": torch.zeros(4, 4)}, r"a must be .* three dimensions, got \(4, 4\)"),
            ({"b": torch.zeros(1, 4, 4)}, r"b must have shape \(2, 4, 4\), got \(1, 4, 4\)"),
            ({"b": torch.zeros(2, 4, 4, device="meta")}, "b must be on cpu, got meta"),
            (
                {"b": torch.zeros(2, 4, 4).half()},
                "c and b must have one dtype, .*float32 .*float16",
            ),
            ({"out": torch.zeros(2, 4, 5)}, r"out must have shape \(2, 4, 4\), got \(2, 4, 5\)"),
            ({"out": torch.zeros(2, 4, 8)[..., ::2]}, r"out needs .* got strides \(32, 8, 2\)"),
            ({"out": "a"}, "out must not share memory with a or b"),
        ],
    ),
}


@pytest.mark.parametrize(
    ("product", "change", "message"),
    [(product, *case) for product, (_, cases) in REFUSED.items() for case in cases],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value)[:30],
)
def test_error_names_the_tensor(product, change, message):
    arguments = REFUSED[product][0] | change
    if arguments.get("out") == "a":
        arguments["out"] = arguments["a"]
    with pytest.raises(ValueError, match=message):
        product(**arguments)
