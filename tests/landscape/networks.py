"""Small networks to probe, and one whose Hessian is also had by differentiating twice backwards."""

import copy

import torch
from random_weights import randomise
from torch import nn

from gcp_mm.ops import GlobalCovariancePool


class Plain(nn.Module):
    """A stem, a batch norm in the tail, dropout, and a functional activation."""

    def __init__(self, inplace=True):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace)
        self.conv2, self.bn2 = nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)
        self.dropout, self.fc = nn.Dropout(0.5), nn.Linear(5, 3)

    def stem(self, x):
        return self.act(self.bn1(self.conv1(x)))

    def tail(self, x):
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(self.dropout(x.mean((2, 3))))

    def forward(self, x):
        return self.tail(self.stem(x))


class Residual(nn.Module):
    """A shortcut goes round `branch`; one activation is used in front of it and behind it."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.bn = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4)
        self.branch, self.fc = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        x = self.relu(self.conv(x))
        x = self.relu(self.bn(self.branch(x)) + x)
        return self.fc(x.mean((2, 3)))


def plain(**options):
    """Build a `Plain` with random weights, in training mode, in float64."""
    return randomise(Plain(**options)).double()


def batch(number=6, size=10, classes=3):
    """Return images and classes."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(number, 3, size, size, generator=generator, dtype=torch.float64)
    return images, torch.arange(number) % classes


def make_batches():
    """Return two batches of images and classes for a `pooled_network`."""
    torch.manual_seed(1)
    return [
        (torch.randn(size, 3, 4, 4, dtype=torch.float64), torch.arange(size) % 3) for size in (5, 3)
    ]


def pooled_network(impl="gram"):
    """A convolution with batch norm, the pooling layer or a mean, dropout and a classifier."""
    torch.manual_seed(2)
    if impl == "mean":
        pooling, features = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3
    else:
        pooling, features = GlobalCovariancePool(2, impl), 6
    network = nn.Sequential(
        nn.Conv2d(3, 3, 2, bias=False),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        pooling,
        nn.Dropout(0.5),
        nn.Linear(features, 3),
    ).double()
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return network


def dense_eigenvalues(network, batches):
    """Differentiate twice backwards, over all images at once."""
    network = copy.deepcopy(network).eval()
    inputs, targets = (torch.cat(part) for part in zip(*batches, strict=True))
    shapes = {name: weight.shape for name, weight in network.named_parameters()}

    def loss(flat):
        parts = flat.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        logits = torch.func.functional_call(network, weights, (inputs,))
        return nn.functional.cross_entropy(logits, targets)

    flat = nn.utils.parameters_to_vector(network.parameters()).detach()
    matrix = torch.autograd.functional.hessian(loss, flat)
    return torch.linalg.eigvalsh(matrix).flip(0).numpy()
