"""The numbers of a data preprocessor, whatever it is."""

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from mmpretrain.models import ClsDataPreprocessor
from torchvision.models import AlexNet_Weights

from gcp_mm.robustness.evaluation.classifier import Normaliser

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


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_numbers_are_those_of_the_preprocessor(name):
    preprocessor = PREPROCESSORS[name]()
    normalise = Normaliser(preprocessor, torch.device("cpu"))
    # More, fewer and other images than before, also such that are no block of memory.
    wide = random_images(6, 30, 80)
    for images in (random_images(2, 40, 24), random_images(5, 40, 24), wide[::2, :, 5:45]):
        expected = preprocessor({"inputs": images.permute(0, 3, 1, 2)})["inputs"]
        found = normalise(images)
        assert found.dtype == expected.dtype and torch.equal(found, expected)


def test_all_values_are_those_of_torchvision():
    """Up to rounding: torchvision divides by 255 first."""
    preset = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=16, resize_size=16)
    images = torch.arange(256, dtype=torch.uint8).view(16, 16, 1).repeat(1, 1, 3)
    images[..., 0] = images[..., 0].flip(0)
    normalise = Normaliser(ClsDataPreprocessor(MEAN, STD, to_rgb=True), torch.device("cpu"))
    expected = preset(images.flip(-1).permute(2, 0, 1))
    torch.testing.assert_close(normalise(images[None])[0], expected, atol=2e-6, rtol=1e-6)


def test_memory_is_used_again():
    normalise = Normaliser(PREPROCESSORS["plain"](), torch.device("cpu"))
    addresses = {normalise(random_images(n, 8, 8)).data_ptr() for n in (4, 3, 1, 4)}
    assert len(addresses) == 1
