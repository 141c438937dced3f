"""What mmengine's counter sees of a GCP classifier, against products counted by hand."""

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmpretrain.registry import MODELS

import gcp_mm.registry  # noqa: F401

STEPS = 5


@pytest.mark.parametrize(("channels", "size"), [(8, 2), (4, 4)])
def test_products_of_the_layer_are_counted(channels, size):
    neck = dict(type="gcp_mm.GlobalCovariancePooling", in_channels=6, reduced_channels=channels)
    positions = size * size
    found = get_model_complexity_info(
        MODELS.build(neck).eval(),
        inputs=(torch.randn(1, 6, size, size),),
        show_table=False,
        show_arch=False,
    )["flops"]
    # mmengine counts two operations for each number that leaves an affine batch norm.
    reduce = 6 * channels * positions + 2 * channels * positions
    outer = channels * channels * positions
    if positions < channels:
        layer = 2 * channels * positions**2 + 3 * (STEPS - 1) * positions**3 + outer
    else:
        layer = outer + 3 * (STEPS - 1) * channels**3 + channels**3
    assert found == reduce + layer
