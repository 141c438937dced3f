"""Part 4: training steps of ResNet-50 on torchvision's body, with GAP and with GCP."""

from __future__ import annotations

import torch
from peers import plain
from step import CLASSES, CONTROL, GCP, StepBench
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck, ResNet

from gcp_mm.ops import global_covariance_pool
from gpu_parts.rows import Rows
from gpu_parts.settings import Settings

MOST_OVERHEAD = 1.0
"""Per cent of the control's step that GCP may add to it, but for the classifier."""


class Backbone(nn.Module):
    """torchvision's ResNet up to its last stage, whose stride GCP takes away.

    Args:
        network: The ResNet.
        stride: Of the last stage, 2 as published for GAP, or 1.
    """

    def __init__(self, network: ResNet, stride: int) -> None:
        super().__init__()
        first = network.layer4[0]
        first.conv2.stride = first.downsample[0].stride = (stride, stride)
        self.layers = nn.Sequential(*list(network.children())[:-2])

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the features of the last stage."""
        return (self.layers(images),)


class GAPNeck(nn.Module):
    """Global average pooling."""

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the vectors."""
        return (features[-1].mean((2, 3)),)


class GCPNeck(nn.Module):
    """The reducing convolution and the pooling layer, ours or the plain formulas.

    Args:
        in_channels: Of the features.
        channels: Of the layer.
        pool: A function of features and the number of steps.
    """

    num_iters = 5

    def __init__(self, in_channels: int, channels: int, pool=global_covariance_pool) -> None:
        super().__init__()
        convolution = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.reduce = nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.pool = pool

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the vectors."""
        return (self.pool(self.reduce(features[-1]), self.num_iters),)


class Network(nn.Module):
    """Backbone, neck and a linear classifier.

    Args:
        backbone: Returns a tuple of features.
        neck: Returns a tuple of vectors.
        length: Of the vectors.
    """

    def __init__(self, backbone: Backbone, neck: nn.Module, length: int) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, nn.Module()
        self.head.fc = nn.Linear(length, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores."""
        return self.head.fc(self.neck(self.backbone(images))[0])


class Bench(StepBench):
    """Steps with the cross entropy."""

    def loss(self, name: str, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss of a network."""
        images, labels = drawn
        return cross_entropy(self.models[name](images), labels)


class Thin(Bottleneck):
    """A block of the quick networks, which adds no channels."""

    expansion = 1


def networks(quick: bool) -> dict[str, nn.Module]:
    """Return the four networks; the quick ones have a block a stage, and 8 channels."""

    def backbone(stride: int) -> Backbone:
        return Backbone(ResNet(Thin, [1] * 4, width_per_group=4) if quick else resnet50(), stride)

    channels, features = (8, 512) if quick else (256, 2048)
    length = channels * (channels + 1) // 2
    return {
        "GAP": Network(backbone(2), GAPNeck(), features),
        CONTROL: Network(backbone(1), GAPNeck(), features),
        GCP: Network(backbone(1), GCPNeck(features, channels), length),
        "GCP, plain": Network(backbone(1), GCPNeck(features, channels, plain), length),
    }


def run(settings: Settings, rows: Rows, end: float) -> None:
    """Write the times of the steps, and the shares of the parts."""
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    bench = Bench(
        networks(settings.quick),
        settings.torch_device,
        batch=settings.size(128, 2),
        size=settings.size(224, 32),
        amp=True,
        repetitions=settings.size(15, 2),
    )
    found = bench.measure(settings.size(4, 0))
    for name, row in found["steps"].items():
        of_control = row["of_control"]
        low, high = of_control["interval"]
        unit = f"ms, {of_control['ratio']:.4f} ({low:.4f} to {high:.4f}) of the control"
        rows.number(f"step of {name}", row["median_ms"], unit, **row)
    for name, row in found["parts"].items():
        unit = f"% of the control's step, {row['median_ms']:.3g} ms"
        rows.number(f"share of {name}", 100 * row["share_of_control"], unit, **row)
    # Of the classifier all is left out, although the control has a smaller one.
    without = 1 + found["parts"]["classifier"]["share_of_control"]
    of_control = found["steps"][GCP]["of_control"]
    low, high = (100 * (bound - without) for bound in of_control["interval"])
    unit = f"% of the control's step ({low:.3g} to {high:.3g})"
    goal = MOST_OVERHEAD if settings.has_goals else None
    name, overhead = "overhead without the classifier", 100 * (of_control["ratio"] - without)
    rows.number(name, overhead, unit, goal, interval=[low, high])
