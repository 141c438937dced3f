import pytest
import torch
from torch import nn
from torchvision.models.swin_transformer import _patch_merging_pad

from gcp_mm.conversion.name_rules import CHANNEL_VECTOR, MERGED_PATCH, POSITION_PAIRS

FORMS = {
    "channel vector": (CHANNEL_VECTOR, (5, 1, 1), (5,)),
    "position pairs": (POSITION_PAIRS, (49,), (7, 7)),
    "merged patch": (MERGED_PATCH, (12,), (12,)),
    "merged patches": (MERGED_PATCH, (6, 12), (6, 12)),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", [torch.Tensor.clone, nn.Parameter])
def test_there_and_back(name, kind):
    form, before, after = FORMS[name]
    tensor = kind(torch.rand(before))
    converted = form.apply(tensor)
    restored = form.apply(converted, inverse=True)
    assert converted.shape == after and converted.is_contiguous()
    assert type(restored) is type(converted) is type(tensor)
    assert restored.requires_grad == converted.requires_grad == tensor.requires_grad
    assert torch.equal(restored, tensor)


def test_patches_are_merged_as_unfold_does():
    x = torch.rand(1, 3, 2, 2)
    (source,) = _patch_merging_pad(x.permute(0, 2, 3, 1)).flatten(0, 2)
    (expected,) = nn.Unfold(2, stride=2)(x).flatten(1)
    assert not torch.equal(source, expected)
    assert torch.equal(MERGED_PATCH.apply(source), expected)
