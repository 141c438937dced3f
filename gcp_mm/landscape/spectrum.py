"""The spectrum of a Hessian, exactly for a small network and estimated for a large one."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from gcp_mm.errors import UserError

if TYPE_CHECKING:
    from curvlinops import HessianLinearOperator

# Points of a density, and curvlinops' defaults: width of the Gaussian bumps, margin of the grid.
_POINTS, _KAPPA, _MARGIN = 1024, 3.0, 0.05

# Columns of the identity that are multiplied at once: their activations are in memory together.
_CHUNK = 32


class Spectrum(Protocol):
    """What both ways of measuring a spectrum offer; its stages return plain data."""

    def products(self, stage: str) -> int | None:
        """Return how many products with the Hessian a stage takes, None if nobody knows."""

    def eigenvalues(self, top: int) -> dict[str, float | list[float]]:
        """Return ``eigenvalues``, the largest in descending order, and ``smallest_eigenvalue``."""

    def trace(self) -> dict[str, float]:
        """Return ``trace`` and ``trace_standard_error``."""

    def density(self, low: float, high: float) -> dict[str, list[float]]:
        """Return ``grid`` and ``density`` of eigenvalues between the smallest and the largest."""


def _require_finite(values: Tensor | np.ndarray) -> None:
    if not torch.as_tensor(values).isfinite().all():
        raise UserError(
            "a product with the Hessian is not finite: the network's loss has no second "
            "derivative at these weights and images, or overflows there"
        )


def _ends(low: float, high: float) -> tuple[float, float]:
    """Give a spectrum of one value an extent that a density can be drawn over."""
    return (low, high) if low < high else (low - 0.5, high + 0.5)


class ExactSpectrum:
    """All eigenvalues of the matrix.

    Args:
        hessian: The operator, P x P; it is multiplied by the identity.

    Raises:
        UserError: If a product is not finite.
    """

    def __init__(self, hessian: HessianLinearOperator) -> None:
        self.hessian = hessian

    @cached_property
    def values(self) -> Tensor:
        """The eigenvalues, ascending."""
        hessian = self.hessian
        identity = torch.eye(hessian.shape[0], device=hessian.device, dtype=hessian.dtype)
        columns = [hessian @ chunk for chunk in identity.split(_CHUNK, dim=1)]
        matrix = torch.cat(columns, dim=1).to("cpu", torch.float64)
        _require_finite(matrix)
        return torch.linalg.eigvalsh((matrix + matrix.T) / 2)

    def products(self, stage: str) -> int:
        """See :class:`Spectrum`; the first stage forms the matrix."""
        return 0 if "values" in vars(self) else math.ceil(self.hessian.shape[0] / _CHUNK)

    def eigenvalues(self, top: int) -> dict[str, float | list[float]]:
        """See :class:`Spectrum`."""
        return {
            "eigenvalues": self.values.flip(0)[:top].tolist(),
            "smallest_eigenvalue": float(self.values[0]),
        }

    def trace(self) -> dict[str, float]:
        """See :class:`Spectrum`; the standard error is 0."""
        return {"trace": float(self.values.sum()), "trace_standard_error": 0.0}

    def density(self, low: float, high: float) -> dict[str, list[float]]:
        """See :class:`Spectrum`; as smooth as that of a Lanczos run over all P vectors."""
        from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum_from_iter

        # The eigenvalues with equal weights stand for Lanczos' nodes with theirs.
        count = max(len(self.values), 2)
        values = self.values.expand(count) if len(self.values) == 1 else self.values
        weights = torch.full((1, count), count**-0.5, dtype=values.dtype)
        grid, density = lanczos_approximate_spectrum_from_iter(
            (values, weights), _ends(low, high), _POINTS, _KAPPA, _MARGIN
        )
        return {"grid": grid.tolist(), "density": density.tolist()}


class EstimatedSpectrum:
    """Estimates from matrix-vector products: Lanczos iterations and random vectors.

    Args:
        hessian: The operator, P x P.
        trace_samples: Random vectors of Hutchinson's estimator.
        lanczos_steps: Lanczos vectors for the density.
        seed: Of all random vectors.
    """

    def __init__(
        self, hessian: HessianLinearOperator, trace_samples: int, lanczos_steps: int, seed: int
    ) -> None:
        self.hessian = hessian
        self.trace_samples = trace_samples
        self.lanczos_steps = lanczos_steps
        self.seed = seed

    def products(self, stage: str) -> int | None:
        """See :class:`Spectrum`; the eigenvalues take as many as they need to converge."""
        return {"trace": self.trace_samples, "density": self.lanczos_steps}.get(stage)

    def eigenvalues(self, top: int) -> dict[str, float | list[float]]:
        """See :class:`Spectrum`; to a relative accuracy of 1e-4."""
        from scipy.sparse.linalg import eigsh

        start = np.random.default_rng(self.seed).standard_normal(self.hessian.shape[0])
        operator = self.hessian.to_scipy()
        common = dict(v0=start, tol=1e-4, return_eigenvectors=False)
        largest = eigsh(operator, k=top, which="LA", **common)
        smallest = eigsh(operator, k=1, which="SA", **common)
        _require_finite(np.append(largest, smallest))
        return {
            "eigenvalues": np.sort(largest)[::-1].tolist(),
            "smallest_eigenvalue": float(smallest[0]),
        }

    def trace(self) -> dict[str, float]:
        """See :class:`Spectrum`; the mean over the random vectors."""
        from curvlinops import hutchinson_trace

        torch.manual_seed(self.seed)
        # One vector at a time: several at once take the memory of as many networks.
        samples = [float(hutchinson_trace(self.hessian, 1)) for _ in range(self.trace_samples)]
        estimates = np.array(samples)
        _require_finite(estimates)
        error = estimates.std(ddof=1) / math.sqrt(len(estimates))
        return {"trace": float(estimates.mean()), "trace_standard_error": float(error)}

    def density(self, low: float, high: float) -> dict[str, list[float]]:
        """See :class:`Spectrum`."""
        from curvlinops import lanczos_approximate_spectrum

        torch.manual_seed(self.seed)
        grid, density = lanczos_approximate_spectrum(
            self.hessian,
            self.lanczos_steps,
            num_points=_POINTS,
            kappa=_KAPPA,
            boundaries=_ends(low, high),
            margin=_MARGIN,
        )
        _require_finite(density)
        return {"grid": grid.tolist(), "density": density.tolist()}
