"""Networks with random weights that tell images apart, the same each time, to time or compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import torch
from mmpretrain.models import ClsDataPreprocessor
from PIL import Image
from plain_robustness import MEAN, STD
from torch import Tensor, nn
from torchvision import transforms
from torchvision.models import resnet18

FAR = 1000
"""By what scores of classes that no image is taken for are lower."""


def tell_apart(
    network: nn.Module,
    extract: Callable[[Tensor], Tensor],
    layer: nn.Linear,
    inputs: Tensor,
    among: Iterable[int] = (),
) -> int:
    """Let random weights tell images apart.

    The batch norms know the statistics of these images, and the scores of the classes are centred
    on them: else nearly all images would be of one class.

    Args:
        network: Is changed, and in evaluation mode thereafter.
        extract: Returns the vectors of inputs by this network.
        layer: Its last one, which returns the scores of vectors.
        inputs: Some images, (B, 3, H, W), as the network is given them.
        among: The classes that it takes images for; by default all.

    Returns:
        The number of classes that it takes these images for.

    Raises:
        RuntimeError: If that is one.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()
        extract(inputs)
        network.eval()
        vectors = extract(inputs)
        layer.weight /= layer.weight.norm(dim=1, keepdim=True)
        layer.bias.copy_(-(layer.weight @ vectors.mean(0)))
        chosen = list(among) or range(layer.out_features)
        layer.bias[~torch.isin(torch.arange(layer.out_features), torch.tensor(chosen))] -= FAR
        classes = len(layer(vectors).argmax(dim=1).unique())
    if classes < 2:
        raise RuntimeError("the network takes all images for one class: that compares nothing")
    return classes


class Network(nn.Module):
    """1000 scores of normalised images; called as mmpretrain's networks are.

    Args:
        name: Of `LAYERS`.
        layers: What computes the scores.
    """

    def __init__(self, name: str, layers: nn.Module) -> None:
        super().__init__()
        self.name, self.layers = name, layers.eval()
        mean, std = ([255 * value for value in values] for values in (MEAN, STD))
        self.data_preprocessor = ClsDataPreprocessor(mean, std, to_rgb=True)

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Tensor:
        """Return the scores (B, 1000) of images (B, 3, H, W)."""
        return self.layers(inputs)


class FieldColours(nn.Module):
    """Scores from the mean colours of 7 x 7 fields, of 4 x 4 pixels each: it costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(7), nn.Linear(147, 1000)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores of every eighth pixel."""
        return self.fc(self.pool(inputs[:, :, ::8, ::8]).flatten(1))


LAYERS = {"resnet18": resnet18, "tiny": FieldColours}


def some_images(folders: list[Path], number: int = 32) -> Tensor:
    """Return normalised images (B, 3, 224, 224) of folders; of a clip, the first frame."""
    steps = [transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    files = sorted(path for folder in folders for path in folder.rglob("*.*") if path.is_file())
    found = []
    for path in files[:: max(1, len(files) // number)]:
        if path.suffix == ".mp4":
            frame = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG).read()[1]
            image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        else:
            image = Image.open(path).convert("RGB")
        found.append(transforms.Compose(steps)(image))
    return torch.stack(found)


def make_network(name: str, images: Tensor, among: Iterable[int] = ()) -> tuple[Network, int]:
    """Make a network of `LAYERS`, and return the number of classes that it takes images for.

    Of a thousand classes a random one is hardly ever right: `among` are those of the images.
    """
    torch.manual_seed(0)
    layers = LAYERS[name]()
    last, layers.fc = layers.fc, nn.Identity()
    classes = tell_apart(layers, layers, last, images, among)
    layers.fc = last
    return Network(name, layers), classes
