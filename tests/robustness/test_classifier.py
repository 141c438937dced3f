"""Ties, fixed batches and heads."""

import pytest
import torch

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.classifier import Classifier, ordered_top5

from .conftest import SIZE


@pytest.mark.parametrize("classes", [5, 6, 50])
def test_lower_class_comes_first_of_tied_ones(classes):
    generator = torch.Generator().manual_seed(classes)
    # Few different values: nearly every row has ties, also across the fifth place.
    logits = torch.randint(0, 4, (200, classes), generator=generator).float()
    logits[0] = torch.arange(classes)
    expected = [
        sorted(range(classes), key=lambda index: (-row[index], index))[:5]
        for row in logits.tolist()
    ]
    found = ordered_top5(logits)
    assert found.dtype == torch.int16
    assert found.tolist() == expected


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)


def test_image_has_the_same_scores_wherever_it_lies(network, images):
    classifier = Classifier(network, torch.device("cpu"))
    together = classifier.padded_logits(images, 8)
    apart = torch.cat([classifier.padded_logits(images[i : i + 2], 8) for i in (0, 2, 4)])
    assert together.shape == (5, 6)
    assert torch.equal(together, apart)


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "tf32")]
)
def test_tf32_is_for_products_and_convolutions_alike(network, dtype, wanted):
    with Classifier(network, torch.device("cpu"), dtype)._precision():
        assert torch.backends.cuda.matmul.fp32_precision == wanted
        assert torch.backends.cudnn.conv.fp32_precision == wanted


def test_half_precision_is_near(network, images):
    exact = Classifier(network, torch.device("cpu")).logits(images)
    half = Classifier(network, torch.device("cpu"), "bfloat16").logits(images)
    assert half.dtype == torch.float32
    assert 0 < (half - exact).abs().max() < 0.05 * exact.abs().max()


def test_head_with_several_outputs_is_asked_for_its_prediction(network, images, monkeypatch):
    classifier = Classifier(network, torch.device("cpu"))
    expected = classifier.logits(images).softmax(dim=1)
    forward = network.forward

    def several(inputs, data_samples=None, mode="tensor"):
        found = forward(inputs, data_samples, mode)
        return (found, found) if mode == "tensor" else found

    monkeypatch.setattr(network, "forward", several)
    torch.testing.assert_close(classifier.logits(images), expected)


def test_unfit_size_is_named():
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import MODELS

    from gcp_mm.robustness.evaluation.baselines import alexnet_config

    cfg = alexnet_config()
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        alexnet = MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})
    with pytest.raises(UserError, match="does not take images of 64 x 64"):
        Classifier(alexnet, torch.device("cpu")).num_classes(64)
