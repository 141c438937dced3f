"""Small networks to probe."""

import torch
from random_weights import randomise
from torch import nn


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
