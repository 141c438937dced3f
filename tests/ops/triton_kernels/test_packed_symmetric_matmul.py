import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import packed_symmetric_matmul

SHAPES = [(2, 37, 53), (1, 1, 1), (3, 5, 1), (2, 1, 7), (1, 150, 49), (2, 16, 16), (0, 4, 3)]


def expected(packed, right, scale=1.0):
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


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value(operands, check, shape):
    packed, right = operands(*shape)
    found = packed_symmetric_matmul(packed, right)
    assert found.shape == shape
    if shape[0]:
        check(found, expected(packed, right))


def test_a_gradient_at_one_element(device):
    """The element (0, 2) of G moves rows 0 and 2, by half; the diagonal element (1, 1) row 1."""
    right = torch.tensor([[[1.0], [10.0], [100.0]]], device=device)
    one = torch.eye(6, device=device)
    found = [packed_symmetric_matmul(one[i : i + 1], right).flatten().tolist() for i in (2, 3)]
    assert found == [[50, 0, 0.5], [0, 10, 0]]


@pytest.mark.parametrize("gradient", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_scale_brings_a_gradient_into_range(operands, check, draw, gradient, dtype):
    packed, right = operands(2, 37, 20)
    # The largest float16 is 65504, and the other two dtypes go far beyond.
    factor = 1e4 if gradient == torch.float16 else 1e6
    packed = (packed.float() * factor).to(gradient)
    scale = torch.full((1, 1), 1 / factor, device=packed.device).expand(2, 1)
    found = packed_symmetric_matmul(packed, right, scale)
    check(found, expected(packed, right, 1 / factor))


def test_strides(operands, check):
    packed, right = operands(3, 37, 20)
    target = expected(packed, right)
    padded = torch.full((3, 37, 48), float("nan"), dtype=right.dtype, device=right.device)
    padded[..., :20] = right
    for view in (right.mT.contiguous().mT, padded[..., :20], padded.repeat(1, 1, 2)[..., :20]):
        check(packed_symmetric_matmul(packed, view), target)
    scattered = packed.repeat_interleave(2, dim=1)[:, ::2]
    one = packed[:1].expand(3, -1)
    check(packed_symmetric_matmul(scattered, right), target)
    check(packed_symmetric_matmul(one, right), expected(one, right))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": torch.zeros(4, 9)}, r"right must be .* three dimensions, got \(4, 9\)"),
        ({"packed_grad": torch.zeros(2, 9)}, r"packed_grad .* shape \(2, 10\), got \(2, 9\)"),
        ({"scale": torch.zeros(2)}, r"scale must have shape \(2, 1\), got \(2,\)"),
    ],
    ids=["right", "packed_grad", "scale"],
)
def test_error_names_the_tensor(change, message):
    arguments = {"packed_grad": torch.zeros(2, 10), "right": torch.zeros(2, 4, 9)}
    with pytest.raises(ValueError, match=message):
        packed_symmetric_matmul(**(arguments | change))
