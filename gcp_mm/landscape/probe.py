r"""Loss and gradient along the gradient at the output of the stem.

With y the output of the stem, L the loss as a function of y and g = dL/dy, each step eta gives

.. math::

    L(y + \eta g) \quad\text{and}\quad \lVert \nabla L(y + \eta g) - \nabla L(y) \rVert_2.

The spread of the losses shows how Lipschitz the loss is, the second number how well the gradient
predicts. Papers: "What Deep CNNs Benefit from Global Covariance Pooling: An Optimization
Perspective", arXiv 2003.11241; the effective smoothness ``beta`` is that of "How Does Batch
Normalization Help Optimization?", arXiv 1805.11604.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from gcp_mm.engine.run_state import unwrapped
from gcp_mm.errors import UserError
from gcp_mm.landscape.frozen import frozen
from gcp_mm.landscape.loss import cross_entropy
from gcp_mm.landscape.settings import Settings, resolve
from gcp_mm.landscape.split import SplitNetwork

# Elements that are converted to float64 at a time.
_CHUNK = 1 << 22


@dataclass(frozen=True)
class LandscapeProbe:
    """What a probe measures; K is the number of steps.

    Attributes:
        at: Path of the module whose output y was moved.
        etas: (K,) steps in units of the gradient.
        loss: L(y).
        grad_norm: L2 norm of g = dL/dy over the whole batch.
        losses: (K,) losses at y + eta g (or y - eta g).
        grad_diffs: (K,) L2 norms of the change of the gradient.
        beta: (K,) grad_diffs / (eta grad_norm), the effective smoothness; 0 where g is 0.
        cosine: (K,) cosines of the angle between the gradient there and g; 0 if either is 0.
        batch_size: Images that the loss is the mean of, over all processes.
    """

    at: str
    etas: np.ndarray
    loss: float
    grad_norm: float
    losses: np.ndarray
    grad_diffs: np.ndarray
    beta: np.ndarray
    cosine: np.ndarray
    batch_size: int

    def as_record(self) -> dict:
        """Return the numbers as plain lists and floats, for JSON."""
        values = {name: value for name, value in vars(self).items() if name != "at"}
        return {name: np.asarray(value).tolist() for name, value in values.items()}


def products(g: Tensor, gradient: Tensor) -> Tensor:
    """Return (g, g), (h, h), (g, h) and (h - g, h - g) of gradients g and h, in float64."""
    sums = torch.zeros(4, dtype=torch.float64, device=g.device)
    chunks = (tensor.flatten().split(_CHUNK) for tensor in (g, gradient))
    for a, b in zip(*chunks, strict=True):
        a, b = a.double(), b.double()
        difference = b - a
        sums += torch.stack([a @ a, b @ b, a @ b, difference @ difference])
    return sums


def summarise(
    at: str, etas: np.ndarray, loss: float, losses: list[float], sums: Tensor, batch_size: int
) -> LandscapeProbe:
    """Turn the sums of :func:`products` at each step, (K, 4), into norms and angles."""
    gg, hh, gh, difference = sums.cpu().numpy().T
    norm, grad_diffs = np.sqrt(gg), np.sqrt(difference)
    distances, product = etas * norm, norm * np.sqrt(hh)
    zeros = np.zeros(len(etas))
    return LandscapeProbe(
        at=at,
        etas=etas,
        loss=loss,
        grad_norm=float(norm[0]),
        losses=np.array(losses),
        grad_diffs=grad_diffs,
        beta=np.divide(grad_diffs, distances, out=zeros.copy(), where=distances > 0),
        cosine=np.divide(gh, product, out=zeros, where=product > 0),
        batch_size=batch_size,
    )


def probe(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    at: str | None = None,
    etas: Sequence[float] | Mapping[str, float] | None = None,
    *,
    direction: str = "ascent",
    batch_norm: str = "batch",
    rescale: bool | int = False,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> LandscapeProbe:
    """Measure the loss and its gradient along the gradient at a point of a network.

    The network is bit for bit as before afterwards; see :func:`gcp_mm.landscape.frozen`.

    Args:
        model: An mmpretrain classifier, or any module that maps ``inputs`` to logits (B, classes).
        inputs: The batch as the backbone takes it: float, normalised, (B, C, H, W). It is moved to
            the network's device and dtype.
        targets: Class indices (B,), int64.
        at: Path of the module whose output is moved; by default the end of the stem: behind the
            max-pool of ResNet and ShuffleNetV2, behind the first activation of MobileNetV2.
        etas: Steps, or arguments of ``numpy.linspace``; see :func:`resolve` for the defaults.
        direction: 'ascent' adds the gradient, as published; 'descent' subtracts it.
        batch_norm: 'batch', as published, or 'eval' for the running statistics.
        rescale: True or a batch size B_ref multiplies the steps by B / B_ref.
        loss: Maps logits and targets to the mean loss. Defaults to cross-entropy.

    Returns:
        The losses, gradient changes and what follows from them.

    Raises:
        UserError: If the module is unknown or has no single output, batch statistics are asked
            for without batch norm, the targets are no class indices, or a loss is not finite.
    """
    model = unwrapped(model)
    settings = resolve(model, at, etas, direction, batch_norm, rescale)
    return measure(model, inputs, targets, settings, loss)


def measure(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    settings: Settings,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    distributed: bool = False,
) -> LandscapeProbe:
    """Probe with settings that are resolved; see :func:`probe`.

    Args:
        model: The network, without a wrapper.
        inputs: The batch of this process.
        targets: Its class indices.
        settings: What :func:`resolve` returns.
        loss: Maps logits and targets to the mean loss.
        distributed: All processes call this together, each with its part of the batch. The loss is
            the mean over the processes, its gradient is that with respect to all their
            activations, and every process gets the same numbers. Batch norms keep the statistics
            of a process, unless they are SyncBN.

    Returns:
        The measurement.

    Raises:
        UserError: As :func:`probe`.
    """
    tensors = [tensor for tensor in model.parameters() if tensor.is_floating_point()]
    if tensors:
        inputs = inputs.to(tensors[0])
    targets = targets.to(inputs.device)
    world = get_world_size() if distributed else 1
    batch_size = len(inputs) * world
    etas = settings.etas_for(batch_size)

    def over_processes(number: Tensor) -> Tensor:
        if distributed:
            all_reduce(number, "sum")
        return number

    with frozen(model, settings.batch_norm):
        network = SplitNetwork(model, settings.at, inputs)
        origin = network.activation.requires_grad_()

        def evaluate(activation: Callable[[], Tensor], where: str) -> tuple[float, Tensor]:
            """Return the loss, and its gradient with respect to the activation."""
            value = loss(network.tail(activation), targets) / world
            found = over_processes(value.detach().double()).item()
            if not np.isfinite(found):
                raise UserError(
                    f"the loss is {found} {where}, so there is nothing to measure; take smaller "
                    "etas, or see whether the training has diverged"
                )
            # The activation is the origin plus a constant: both have the same gradient.
            gradient = None
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(value, origin, allow_unused=True)
            if gradient is None:
                raise UserError(f"the loss does not depend on the output of {settings.at!r}")
            return found, gradient

        def compare(gradient: Tensor, where: str) -> Tensor:
            """Return the sums over all processes that norms and angles follow from."""
            found = over_processes(products(g, gradient))
            if not found.isfinite().all():
                raise UserError(
                    f"the gradient is not finite {where}, where the loss is: a layer behind "
                    f"{settings.at!r} has no derivative there, as a root at 0; probe behind it"
                )
            return found

        loss_here, g = evaluate(origin.clone, "before any step")
        compare(g, "before any step")
        losses, sums = [], []
        for number, eta in enumerate(etas, 1):

            def moved(step: float = settings.sign * eta) -> Tensor:
                return torch.add(origin, g, alpha=step)

            where = f"at step {number} of {len(etas)} (eta = {eta:g})"
            value, gradient = evaluate(moved, where)
            losses.append(value)
            sums.append(compare(gradient, where))
        return summarise(settings.at, etas, loss_here, losses, torch.stack(sums), batch_size)
