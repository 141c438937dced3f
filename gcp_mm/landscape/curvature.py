"""Curvature of the loss in the weights: Hessian eigenvalues, trace and spectral density.

Exact for a small network, whose matrix is formed, and estimated for a large one. The
Hessian-vector products, the trace estimator and the density are those of curvlinops
(https://curvlinops.readthedocs.io), the eigenvalues those of ARPACK through SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError, first_line
from gcp_mm.landscape.frozen import frozen
from gcp_mm.landscape.loss import Batches, cross_entropy, finite_mean_loss

if TYPE_CHECKING:
    from curvlinops import HessianLinearOperator

# Points of a density, and curvlinops' defaults: width of the Gaussian bumps, margin of the grid.
_POINTS, _KAPPA, _MARGIN = 1024, 3.0, 0.05

# Columns of the identity that are multiplied at once: their activations are in memory together.
_CHUNK = 32


def _require_finite(values: Tensor | np.ndarray) -> None:
    if not torch.as_tensor(values).isfinite().all():
        raise UserError(
            "a product with the Hessian is not finite: the network's loss has no second "
            "derivative at these weights and images, or overflows there"
        )


def _ends(low: float, high: float) -> tuple[float, float]:
    """Give a spectrum of one value an extent that a density can be drawn over."""
    return (low, high) if low < high else (low - 0.5, high + 0.5)


@dataclass
class ExactSpectrum:
    """All eigenvalues of an operator P x P, which is multiplied by the identity.

    Its stages are those of :class:`EstimatedSpectrum`, and return plain data.
    """

    hessian: HessianLinearOperator

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
        """Count the products with chunks of the identity; the first stage forms the matrix."""
        return 0 if "values" in vars(self) else math.ceil(self.hessian.shape[0] / _CHUNK)

    def eigenvalues(self, top: int) -> dict[str, float | list[float]]:
        """Return ``eigenvalues``, the largest in descending order, and ``smallest_eigenvalue``."""
        return {
            "eigenvalues": self.values.flip(0)[:top].tolist(),
            "smallest_eigenvalue": float(self.values[0]),
        }

    def trace(self) -> dict[str, float]:
        """Return ``trace`` and ``trace_standard_error``, which is 0."""
        return {"trace": float(self.values.sum()), "trace_standard_error": 0.0}

    def density(self, low: float, high: float) -> dict[str, list[float]]:
        """Return ``grid`` and ``density``, as smooth as of a Lanczos run over all P vectors."""
        from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum_from_iter

        # The eigenvalues with equal weights stand for Lanczos' nodes with theirs.
        count = max(len(self.values), 2)
        values = self.values.expand(count) if len(self.values) == 1 else self.values
        weights = torch.full((1, count), count**-0.5, dtype=values.dtype)
        grid, density = lanczos_approximate_spectrum_from_iter(
            (values, weights), _ends(low, high), _POINTS, _KAPPA, _MARGIN
        )
        return {"grid": grid.tolist(), "density": density.tolist()}


@dataclass
class EstimatedSpectrum:
    """Estimates from matrix-vector products: Lanczos iterations and random vectors."""

    hessian: HessianLinearOperator
    trace_samples: int
    lanczos_steps: int
    seed: int

    def products(self, stage: str) -> int | None:
        """Count the products of a stage; the eigenvalues take what they need to converge."""
        return {"trace": self.trace_samples, "density": self.lanczos_steps}.get(stage)

    def eigenvalues(self, top: int) -> dict[str, float | list[float]]:
        """Find the eigenvalues to a relative accuracy of 1e-4."""
        from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh

        start = np.random.default_rng(self.seed).standard_normal(self.hessian.shape[0])
        operator = self.hessian.to_scipy()
        product = operator @ start
        _require_finite(product)
        if not product.any():
            raise UserError(
                "the Hessian is zero at these weights and images: their loss does not change, as "
                "that of images which are fitted exactly does not"
            )
        common = dict(v0=start, tol=1e-4, return_eigenvectors=False)
        try:
            largest = eigsh(operator, k=top, which="LA", **common)
            smallest = eigsh(operator, k=1, which="SA", **common)
        except ArpackNoConvergence as error:
            raise UserError(
                f"the {top} largest eigenvalues and the smallest have not converged ({error}): ask "
                "for others (--top), or take more images (--batches)"
            ) from error
        except ArpackError as error:
            raise UserError(f"the eigenvalues cannot be found: {error}") from error
        _require_finite(np.append(largest, smallest))
        return {
            "eigenvalues": np.sort(largest)[::-1].tolist(),
            "smallest_eigenvalue": float(smallest[0]),
        }

    def trace(self) -> dict[str, float]:
        """Average over the random vectors."""
        from curvlinops import hutchinson_trace

        torch.manual_seed(self.seed)
        # One vector at a time: several at once take the memory of as many networks.
        samples = [float(hutchinson_trace(self.hessian, 1)) for _ in range(self.trace_samples)]
        estimates = np.array(samples)
        _require_finite(estimates)
        error = estimates.std(ddof=1) / math.sqrt(len(estimates))
        return {"trace": float(estimates.mean()), "trace_standard_error": float(error)}

    def density(self, low: float, high: float) -> dict[str, list[float]]:
        """Run Lanczos between the smallest and the largest eigenvalue."""
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


# Up to this many parameters the whole matrix is formed, and nothing is estimated.
EXACT_BELOW = 1000

# Passes before the first stage: the loss, the gradient, the number of images, and then loss,
# gradient and one product twice, by which curvlinops finds layers that are random.
_PASSES_BEFORE = 7


def curvature(
    model: nn.Module,
    batches: Batches,
    top: int = 5,
    trace_samples: int = 30,
    lanczos_steps: int = 80,
    seed: int = 0,
    exact_below: int = EXACT_BELOW,
    results: dict[str, Any] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_pass: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
) -> dict[str, Any]:
    r"""Measure the Hessian of the mean cross-entropy with respect to all parameters.

    Batch norms normalise with their running statistics and dropout is off: the loss is then a mean
    over images, which curvlinops sums over batches. Batch statistics are not offered, because
    forward over reverse mode, which curvlinops uses, gives a wrong second derivative of the scale
    of a batch norm through them (``torch.func`` of torch 2.13; central differences tell).

    ``results`` are completed in place: ``loss``, ``parameters`` (their number), ``unused`` (the
    names of those that the loss does not depend on, left out as eigenvalues of zero), ``exact``,
    and what the stages of :class:`ExactSpectrum` return. ``on_pass`` gets a stage ('start' before
    the three), the batches passed through the network in it, and their number.
    """
    results = {} if results is None else results
    with frozen(model, batch_norm="eval"):
        passes = _Passes(batches, on_pass)
        passes.begin("start", _PASSES_BEFORE)
        results["loss"] = finite_mean_loss(model, passes)
        parameters, results["unused"] = _parameters(model, passes)
        count = sum(parameter.numel() for parameter in parameters)
        exact = count <= exact_below
        _check(count, exact, top, trace_samples, lanczos_steps)
        hessian = _hessian(model, parameters, passes)
        passes.end()
        estimated = EstimatedSpectrum(hessian, trace_samples, lanczos_steps, seed)
        spectrum = ExactSpectrum(hessian) if exact else estimated
        results.update(parameters=count, exact=exact)
        stages: dict[str, Callable[[], Mapping[str, Any]]] = {
            "eigenvalues": lambda: spectrum.eigenvalues(top),
            "trace": spectrum.trace,
            "density": lambda: spectrum.density(
                results["smallest_eigenvalue"], results["eigenvalues"][0]
            ),
        }
        for stage, measure in stages.items():
            if stage not in results:
                passes.begin(stage, spectrum.products(stage))
                results.update(measure())
                passes.end()
                on_stage(stage)
    return results


class _Passes:
    """The batches, and how many of them a stage has passed through the network."""

    def __init__(self, batches: Batches, report: Callable[[str, int, int | None], None]) -> None:
        self._batches, self._report = batches, report
        self.begin("", 0)

    def begin(self, stage: str, passes: int | None) -> None:
        """Begin a stage of so many passes over all batches; None if nobody knows."""
        self._stage, self._done = stage, 0
        self._total = None if passes is None else passes * len(self._batches)
        if self._total != 0:
            self._report(stage, 0, self._total)

    def end(self) -> None:
        """Report what turned out not to be needed as done."""
        if self._total is not None and self._done < self._total:
            self._done = self._total
            self._report(self._stage, self._done, self._total)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._batches:
            yield batch
            self._done += 1
            self._report(self._stage, self._done, self._total)


def _parameters(model: nn.Module, batches: _Passes) -> tuple[list[nn.Parameter], list[str]]:
    """Return the parameters that the loss depends on, and the names of the others."""
    named = [(name, p) for name, p in model.named_parameters() if p.is_floating_point()]
    for _, parameter in named:
        parameter.requires_grad_(True)
    used = set()
    for inputs, targets in batches:
        loss = cross_entropy(model(inputs), targets)
        if loss.requires_grad:
            found = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
            used |= {name for (name, _), g in zip(named, found, strict=True) if g is not None}
        if len(used) == len(named):
            break
    for name, parameter in named:
        parameter.requires_grad_(name in used)
    return [p for name, p in named if name in used], [n for n, _ in named if n not in used]


def _check(count: int, exact: bool, top: int, trace_samples: int, lanczos_steps: int) -> None:
    largest = count if exact else count - 1
    if not 1 <= top <= largest:
        raise UserError(f"top={top}: the network has {count} parameters, choose 1 to {largest}")
    if trace_samples < 2 or lanczos_steps < 2:
        raise UserError(
            f"trace_samples={trace_samples}, lanczos_steps={lanczos_steps}: at least 2 of each"
        )
    if not exact and lanczos_steps > count:
        raise UserError(
            f"lanczos_steps={lanczos_steps} is more than the network's {count} parameters"
        )


def _hessian(
    model: nn.Module, parameters: list[nn.Parameter], batches: _Passes
) -> HessianLinearOperator:
    """Build the operator; it evaluates loss, gradient and one product twice and compares."""
    try:
        from curvlinops import HessianLinearOperator
    except ImportError as error:
        raise UserError(
            "`curvature` needs curvlinops, which is not installed: "
            "pip install curvlinops-for-pytorch (the extra gcp_mm[landscape])"
        ) from error
    try:
        return HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, batches)
    except NotImplementedError as error:
        raise UserError(
            "a layer of this network has no second derivative in forward mode, which curvlinops "
            f"needs (group norm in torch 2.13, for one): {first_line(error)}"
        ) from error
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise UserError(
            f"the same weights and images gave two different results ({error.args[0]}): a layer "
            "is random in evaluation mode, or a gradient is not a number"
        ) from error
