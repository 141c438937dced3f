"""The source networks in plain PyTorch, with the names of the source.

No OpenMMLab package takes part, so these are what a conversion is verified against. They also
say which tensors a complete file has.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
import torchvision
from torch import Tensor, nn

from gcp_mm.conversion.conversion import Architecture
from gcp_mm.conversion.families import FAMILY_OF, CovarianceForm
from gcp_mm.ops.covariance_pool import covariance_pool
from gcp_mm.ops.newton_schulz import newton_schulz_sqrt

# As in every published model.
_NUM_ITERS = 5

# Rows and columns of the elements in the order in which they are read. The matrix is symmetric:
# its lower triangle row by row is its upper one column by column.
_TRIANGLES = {"row": torch.triu_indices, "column": torch.tril_indices}


class CovarianceNetwork(nn.Module):
    """Trunk of torchvision, 1 x 1 convolution, batch norm, activation, covariance, classifier.

    ``forward`` maps normalised images (B, 3, H, W) to logits (B, num_classes) of an evaluation.
    """

    def __init__(
        self, architecture: Architecture, form: CovarianceForm, width: int, order: str
    ) -> None:
        super().__init__()
        family = FAMILY_OF[architecture.network]
        self._form, self._triangle = form, _TRIANGLES[order]
        self._classifier, self._method = family.classifier, architecture.method
        whole = torchvision.models.get_model(architecture.network, weights=None)
        if form.adapt:
            form.adapt(whole)
        for name in form.trunk:
            self.add_module(name, getattr(whole, name))
        convolution, norm = form.reduce
        channels = family.channels[architecture.network]
        self._add(convolution, nn.Conv2d(channels, width, kernel_size=1, bias=False))
        self._add(norm, nn.BatchNorm2d(width))
        self.activation = getattr(nn, form.activation)()
        if architecture.method == "dropcov" and form.dropcov:
            self._add(form.dropcov, nn.Conv1d(1, 1, kernel_size=3, padding=1, bias=False))
        classifier = nn.Linear(architecture.vector_length, architecture.num_classes or 1)
        self._add(family.classifier, classifier)

    def _add(self, path: str, module: nn.Module) -> None:
        """Add a module under a dotted name."""
        *parents, name = path.split(".")
        owner: nn.Module = self
        for parent in parents:
            if parent not in dict(owner.named_children()):
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits."""
        for name in (*self._form.trunk, *self._form.reduce, "activation"):
            x = self.get_submodule(name)(x)
        matrix = covariance_pool(x.flatten(2))
        if self._method is None:
            matrix = newton_schulz_sqrt(matrix, _NUM_ITERS)
        rows, columns = self._triangle(matrix.shape[-1], matrix.shape[-1])
        return self.get_submodule(self._classifier)(matrix[:, rows, columns])


def plain_network(architecture: Architecture, order: str = "row") -> nn.Module:
    """Build the source network of an architecture, with random weights.

    Without a classifier it gives what the classifier would take.
    """
    family, width = FAMILY_OF[architecture.network], architecture.reduced_channels
    num_classes = architecture.num_classes or 1
    if family.covariance is not None and width is not None:
        network: nn.Module = CovarianceNetwork(architecture, family.covariance, width, order)
    elif family.plain is not None:
        network = family.plain(num_classes)
    else:
        network = torchvision.models.get_model(
            architecture.network, weights=None, num_classes=num_classes
        )
    if architecture.num_classes is None:
        network.set_submodule(family.classifier, nn.Identity())
    return network


# A conversion asks for all networks of a family, a way back once more, and each takes a second.
@functools.lru_cache(64)
def plain_tensors(architecture: Architecture) -> Mapping[str, Tensor]:
    """Return the tensors of a source network by name, on the meta device: without numbers."""
    with torch.device("meta"):
        return plain_network(architecture).state_dict()
