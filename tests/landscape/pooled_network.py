"""A small network with a pooling layer, and its Hessian by differentiating twice backwards."""

import copy

import torch
from torch import nn

from gcp_mm.ops import GlobalCovariancePool


def make_batches():
    torch.manual_seed(1)
    return [
        (torch.randn(size, 3, 4, 4, dtype=torch.float64), torch.arange(size) % 3) for size in (5, 3)
    ]


def make_network(impl="gram"):
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
