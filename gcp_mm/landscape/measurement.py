"""What a probe measures, and how it follows from two gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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
        return {
            "batch_size": self.batch_size,
            "loss": self.loss,
            "grad_norm": self.grad_norm,
            **{
                name: getattr(self, name).tolist()
                for name in ("etas", "losses", "grad_diffs", "beta", "cosine")
            },
        }


def products(g: Tensor, gradient: Tensor) -> Tensor:
    """Multiply two gradients and their difference, in float64 on their device.

    Args:
        g: The gradient at the origin.
        gradient: The gradient h elsewhere, of the same shape.

    Returns:
        The inner products (g, g), (h, h), (g, h) and (h - g, h - g).
    """
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
    """Turn inner products into norms and angles.

    Args:
        at: Path of the module whose output was moved.
        etas: (K,) steps.
        loss: Loss at the origin.
        losses: K losses.
        sums: (K, 4), what :func:`products` returns for each step.
        batch_size: Images that the loss is the mean of.

    Returns:
        The measurement.
    """
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
