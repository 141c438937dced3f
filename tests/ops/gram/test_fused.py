"""What is worked out once for a shape; triton_kernels/test_fused.py tests the kernels."""

import pytest
import torch

from gcp_mm.ops.gram import fused

pytest.importorskip("triton", reason="Triton is not installed")


CPU = torch.device("cpu")


def plan(x, steps=5, out=None, programs=132, device=CPU):
    strides = None if out is None else out.stride()
    return fused.make_plan(x.shape, x.stride(), strides, device, programs, steps)


def values(launch):
    """Arguments by name; those that are tensors are None."""
    return dict(zip(launch.names, launch.arguments, strict=True))


def test_a_plan_is_made_once_for_each_form_of_features():
    x = torch.empty(64, 256, 196)
    first = plan(x)
    assert plan(torch.empty_like(x)) is first
    others = [
        plan(torch.empty(64, 196, 256).mT),
        plan(x[:32]),
        plan(x[..., :49]),
        plan(x, steps=3),
        plan(x, programs=7),
        plan(x, device=torch.device("cuda", 0)),
        plan(x, device=torch.device("cuda", 1)),
        plan(torch.empty(64, 256, 49)),
        plan(x, out=x),
    ]
    assert len({id(other) for other in (first, *others)}) == 10


def test_arguments_of_the_kernels():
    forward = plan(torch.empty(256, 256, 196))
    assert forward.padded == 208 and forward.matrices == 132 * 5 and forward.gradient is None
    found = values(forward.normalise)
    assert [name for name, value in found.items() if value is None] == [
        *("x", "mix", "grad", "features", "statistics")
    ]
    assert (found["num_positions"], found["POSITION_UNIT"]) == (49, 4)
    assert found["ROWS"] * found["COLUMNS"] == fused.ROW_ELEMENTS
    assert found["COLUMNS"] == 256 and not found["HAS_GRAD"]
    layout = ("x_batch", "x_outer", "X_TRANSPOSED", "ALIGN")
    assert [found[name] for name in layout] == [256 * 49, 49, False, 4]
    channels_last = torch.empty(4, 14, 14, 256).permute(0, 3, 1, 2).flatten(2)
    found = values(plan(channels_last, out=torch.empty(4, 256, 196)).gradient)
    assert [found[name] for name in layout] == [256 * 196 // 4, 64, True, 4]
    assert (found["out_batch"], found["out_outer"], found["OUT_TRANSPOSED"]) == (
        256 * 49,
        49,
        False,
    )
    backward = plan(torch.empty(3, 256, 49), out=torch.empty(3, 256, 49))
    assert backward.padded == 64 and backward.matrices == 3 * 2 * 5
    assert backward.polynomial.grid == (3, 1, 1)


@pytest.mark.parametrize("positions", [1, 9, 16, 17, 49, 196, 256])
@pytest.mark.parametrize("channels", [2, 17, 256, 2048])
def test_blocks_of_rows_cover_a_product(positions, channels):
    constants = values(plan(torch.empty(1).expand(1, channels, positions)).normalise)
    rows, columns = constants["ROWS"], constants["COLUMNS"]
    assert columns >= 16 * constants["group_count"] >= positions
    # Groups of 16 positions are the rows of a product, which has at least 16.
    assert 256 <= rows * columns <= fused.ROW_ELEMENTS
    assert rows & (rows - 1) == columns & (columns - 1) == 0


def test_a_large_batch_is_pooled_in_groups():
    x = torch.empty(1).expand(5000, 256, 196)
    found = list(fused.groups(x))
    assert len(list(fused.groups(x[:1024]))) == 1 < len(found)
    assert [i for group in found for i in range(5000)[group]] == list(range(5000))
