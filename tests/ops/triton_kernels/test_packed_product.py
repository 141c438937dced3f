import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import packed_product
from gcp_mm.ops.triton_kernels.fallback import interpreting

SHAPES = [(2, 37, 53), (1, 1, 1), (3, 5, 1), (2, 1, 7), (1, 256, 49), (2, 16, 16), (0, 4, 3)]


def expected(left, right, scale):
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


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value(factors, check, shape):
    left, right, scale = factors(*shape)
    found = packed_product(left, right, scale)
    assert found.shape == (shape[0], shape[1] * (shape[1] + 1) // 2)
    if shape[0]:
        check(found, expected(left, right, scale))


@pytest.mark.parametrize("to", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_dtype_of_the_result(factors, check, dtype, to):
    left, right, scale = factors(2, 37, 53)
    found = packed_product(left, right, scale, dtype=to)
    check(found, expected(left, right, scale), dtype=to, error={torch.bfloat16: 5e-3}.get(to, 1e-3))


def test_scale_is_applied_before_rounding(device):
    """The largest float16 is 65504: the sum is beyond, the result is not."""
    if device.type == "cpu" and not interpreting():
        pytest.skip("the plain twin rounds first")
    x = torch.full((1, 1, 2), 256.0, dtype=torch.float16, device=device)
    found = packed_product(x, x, torch.full((1, 1), 2.0**-10, device=device))
    assert found.tolist() == [[128]]


def test_strides(factors, check):
    left, right, scale = factors(3, 37, 20)
    target = expected(left, right, scale)
    transposed = left.mT.contiguous().mT
    padded = torch.full((3, 37, 48), float("nan"), dtype=right.dtype, device=right.device)
    padded[..., :20] = right
    scattered = padded.repeat_interleave(2, dim=2)[..., :40:2]
    for view in (padded[..., :20], scattered):
        check(packed_product(transposed, view, scale), target)
        check(packed_product(view, transposed, scale), expected(right, left, scale))
    one = scale[:1].expand(3, 1)
    check(packed_product(left, right, one), expected(left, right, one))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": torch.zeros(4, 9)}, r"left must be .* three dimensions, got \(4, 9\)"),
        ({"right": torch.zeros(2, 4, 8)}, r"right must have shape \(2, 4, 9\), got \(2, 4, 8\)"),
        ({"right": torch.zeros(2, 4, 9).half()}, "left and right must have one dtype, .*float16"),
        ({"scale": torch.zeros(2)}, r"scale must have shape \(2, 1\), got \(2,\)"),
    ],
    ids=["left", "right", "dtype", "scale"],
)
def test_error_names_the_tensor(change, message):
    arguments = {"left": torch.zeros(2, 4, 9), "right": torch.zeros(2, 4, 9)}
    with pytest.raises(ValueError, match=message):
        packed_product(**(arguments | {"scale": torch.ones(2, 1)} | change))
