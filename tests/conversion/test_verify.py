import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from gcp_mm.conversion import convert
from gcp_mm.conversion.verify import TOLERANCE, Comparison, compare_logits, read_images
from gcp_mm.errors import UserError


@pytest.mark.parametrize("order", ["row", "column"])
def test_logits_of_images_agree(state_dict, photos, impatient, capsys, order):
    comparisons = compare_logits(convert(state_dict(), order), photos)
    assert [comparison.image for comparison in comparisons] == [str(path) for path in photos]
    for comparison in comparisons:
        assert 0 <= comparison.difference < TOLERANCE
        assert comparison.before.shape == (7,)
    assert not torch.equal(comparisons[0].before, comparisons[1].before)
    shown = capsys.readouterr().err
    for what in ("reading images", "comparing logits"):
        assert re.search(rf"{what}:\n.*\r.*] {len(photos)}/{len(photos)}, ", shown)


@pytest.mark.parametrize(
    "name", ["head.fc.weight", "neck.reduce.bn.weight", "backbone.conv1.bn.bias"]
)
def test_small_fault_in_one_tensor_is_seen(state_dict, photos, name):
    conversion = convert(state_dict())
    conversion.state_dict[name] = conversion.state_dict[name].clone()
    conversion.state_dict[name].view(-1)[1] *= 1.001
    assert max(c.difference for c in compare_logits(conversion, photos)) > TOLERANCE


def test_preprocessing(tmp_path):
    """A picture of 512 x 256: its centre, 224 x 224, is not resized."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 512, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (found,) = read_images([tmp_path / "a.png"])
    expected = pixels[16:240, 144:368] / 255
    expected = (expected - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found.numpy(), expected.transpose(2, 0, 1), atol=1e-6)


def test_shorter_side_becomes_256(tmp_path):
    ramp = torch.linspace(0, 255, 128).expand(1, 1, 64, 128)
    Image.fromarray(ramp[0, 0].to(torch.uint8).numpy()).save(tmp_path / "a.png")
    (found,) = read_images([tmp_path / "a.png"])
    expected = interpolate(ramp, (256, 512), mode="bilinear")[0, 0, 16:240, 144:368] / 255
    assert (found[0] * 0.229 + 0.485 - expected).abs().max() < 0.01


@pytest.mark.parametrize("name", ["absent.png", "text.png"])
def test_file_that_is_no_image(tmp_path, name):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(UserError, match=f"--verify: .*{name}' is not a readable image"):
        read_images([tmp_path / name])


def test_comparison_in_words():
    before, after = torch.tensor([0.0, 2.0]), torch.tensor([0.5, 2.0])
    text = str(Comparison("a.png", before, after))
    assert text == (
        "a.png: before class 1 (0.881), after class 1 (0.818), largest relative difference 2.5e-01"
    )
    text = str(Comparison("a.png", before, after, classes=False))
    assert text == "a.png: 2 pooled features, largest relative difference 2.5e-01"
    assert np.isnan(Comparison("a.png", before * torch.nan, after).difference)
