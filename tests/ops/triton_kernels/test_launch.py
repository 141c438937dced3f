import pytest
import torch

from gcp_mm.ops.triton_kernels.launch import (
    has_contiguous_lines,
    input_precision,
    layouts,
    split_size,
    tile_for,
)

X = torch.arange(2 * 6 * 10).reshape(2, 6, 10)
VIEWS = {
    "rows": X,
    "columns": X.mT,
    "cropped": X[:, 1:, 2:7],
    "one row": X[:, :1],
    "one column": X[..., :1],
    "expanded": X[:1].expand(3, -1, -1),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_matrix_is_read_back_through_its_layout(view):
    align, (layout,) = layouts(view.stride())
    outer = layout.outer_stride * align
    strides = (layout.batch_stride * align, *((1, outer) if layout.transposed else (outer, 1)))
    assert torch.equal(X.as_strided(view.shape, strides, view.storage_offset()), view)


@pytest.mark.parametrize(
    ("strides", "align"),
    [
        ([(196 * 256, 196, 1)], 4),
        ([(196 * 256, 1, 256)], 16),
        ([(208 * 208, 208, 1), (196 * 196, 196, 1)], 4),
        ([(0, 64, 1)], 16),
        ([(64 * 64 + 8, 64, 1)], 8),
        ([(1, 1, 1)], 1),
    ],
    ids=str,
)
def test_alignment_holds_for_every_distance(strides, align):
    assert layouts(*strides)[0] == align


def test_contiguous_lines():
    assert [has_contiguous_lines(view) for view in (X, X.mT, X[..., ::2])] == [True, True, False]


@pytest.mark.parametrize(
    ("size", "units"), [(196, (49, 4)), (208, (13, 16)), (49, (49, 1)), (1, (1, 1)), (64, (4, 16))]
)
def test_size_in_units(size, units):
    assert split_size(size) == units


@pytest.mark.parametrize("setting", [True, False])
def test_tensorfloat32_follows_the_setting_of_pytorch(allow_tf32, setting):
    allow_tf32(setting)
    assert input_precision(torch.float32) == ("tf32" if setting else "ieee")
    assert input_precision(torch.float16) == "ieee"


@pytest.mark.parametrize("size", [1, 16, 17, 32, 33, 49, 196, 2048])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("precision", ["ieee", "tf32"])
def test_tiles_cover_the_matrix(size, dtype, precision):
    tile = tile_for(size, dtype, precision)
    assert tile.block % tile.block_k == 0
    blocks = tile.num_blocks(size)
    assert (blocks - 1) * tile.block < size <= blocks * tile.block
    assert tile.num_upper_blocks(size) == sum(range(blocks + 1))
