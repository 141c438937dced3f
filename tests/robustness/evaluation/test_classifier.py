"""Ties, fixed batches, heads, and the numbers of a data preprocessor, whatever it is."""

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from mmpretrain.models import ClsDataPreprocessor
from torchvision.models import AlexNet_Weights

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.classifier import Classifier, ordered_top5
from robustness.conftest import SIZE


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
def test_tf32_is_for_products_and_convolutions_alike(network, images, dtype, wanted):
    seen = []

    def look(*_):
        backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
        seen.extend(backend.fp32_precision for backend in backends)

    with network.backbone.register_forward_hook(look):
        Classifier(network, torch.device("cpu"), dtype).logits(images)
    assert seen == [wanted, wanted]


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


MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Inverted(ClsDataPreprocessor):
    """Another preprocessor."""

    def forward(self, data, training=False):
        """Return other numbers."""
        return {"inputs": 1 - super().forward(data, training)["inputs"]}


PREPROCESSORS = {
    "plain": lambda: ClsDataPreprocessor(MEAN, STD, to_rgb=True),
    "blue first": lambda: ClsDataPreprocessor(MEAN, STD),
    "for all channels": lambda: ClsDataPreprocessor([127], [3], to_rgb=True),
    "only floats": lambda: ClsDataPreprocessor(to_rgb=True),
    "double": lambda: ClsDataPreprocessor(MEAN, STD, to_rgb=True).double(),
    "padding": lambda: ClsDataPreprocessor(MEAN, STD, pad_size_divisor=32, to_rgb=True),
    "subclass": lambda: Inverted(MEAN, STD, to_rgb=True),
    "of mmengine": lambda: ImgDataPreprocessor(MEAN, STD, bgr_to_rgb=True),
}


def random_images(number: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (number, height, width, 3), dtype=torch.uint8, generator=generator)


class Seen(torch.nn.Module):
    """A network that keeps what it is given."""

    def __init__(self, preprocessor):
        super().__init__()
        self.data_preprocessor = preprocessor

    def forward(self, inputs, mode):
        """Return some scores."""
        self.inputs = inputs
        return inputs.mean(dim=(2, 3))


def normalised(preprocessor, images):
    """Return what a network gets of images."""
    network = Seen(preprocessor)
    Classifier(network, torch.device("cpu")).logits(images)
    return network.inputs


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_numbers_are_those_of_the_preprocessor(name):
    preprocessor = PREPROCESSORS[name]()
    # Also images that are no block of memory: kernels round by how their input lies there.
    wide = random_images(6, 30, 80)
    for images in (random_images(2, 40, 24), random_images(5, 40, 24), wide[::2, :, 5:45]):
        expected = preprocessor({"inputs": images.permute(0, 3, 1, 2)})["inputs"]
        found = normalised(preprocessor, images)
        assert found.dtype == expected.dtype and torch.equal(found, expected)
        assert found.is_contiguous()


def test_all_values_are_those_of_torchvision():
    """Up to rounding: torchvision divides by 255 first."""
    preset = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=16, resize_size=16)
    images = torch.arange(256, dtype=torch.uint8).view(16, 16, 1).repeat(1, 1, 3)
    images[..., 0] = images[..., 0].flip(0)
    found = normalised(ClsDataPreprocessor(MEAN, STD, to_rgb=True), images[None])
    expected = preset(images.flip(-1).permute(2, 0, 1))
    torch.testing.assert_close(found[0], expected, atol=2e-6, rtol=1e-6)
