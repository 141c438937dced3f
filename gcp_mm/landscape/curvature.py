"""Curvature of the loss in the weights: Hessian eigenvalues, trace and spectral density.

The Hessian-vector products, the trace estimator and the density are those of curvlinops
(https://curvlinops.readthedocs.io), the eigenvalues those of ARPACK through SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.landscape.frozen import frozen
from gcp_mm.landscape.loss import cross_entropy
from gcp_mm.landscape.mean_loss import Batches, finite_mean_loss
from gcp_mm.landscape.spectrum import EstimatedSpectrum, ExactSpectrum, Spectrum

if TYPE_CHECKING:
    from curvlinops import HessianLinearOperator

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

    Args:
        model: Returns logits. Parameters that the loss does not depend on are left out: they would
            add eigenvalues of zero.
        batches: Images and classes, on the device of the model.
        top: Number of eigenvalues, the largest first.
        trace_samples: Random vectors for Hutchinson's estimate of the trace.
        lanczos_steps: Lanczos vectors for the density.
        seed: Of all random vectors.
        exact_below: With at most this many parameters P, the P x P matrix is formed instead.
        results: Unfinished results, which are completed in place.
        on_stage: Called with the name of each stage that has been finished: 'eigenvalues',
            'trace', 'density'.
        on_pass: Called with a stage, the batches that have been passed through the network in it,
            and their number (None: not known), at the beginning of the stage and after each batch.
            Stages with nothing to pass are left out; 'start' comes before the three.

    Returns:
        Plain data: ``loss``, ``parameters`` (their number P), ``unused`` (the names of those that
        were left out), ``exact`` (whether nothing is
        estimated), ``eigenvalues`` (descending), ``smallest_eigenvalue``, ``trace``,
        ``trace_standard_error`` (0 if exact), ``grid`` and ``density`` (1024 points; the density
        integrates to 1).

    Raises:
        UserError: If curvlinops is not installed, a layer has no forward derivative, ``top`` or
            another number is too small or too large, or the loss or a Hessian-vector product is
            not finite.
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
        spectrum: Spectrum = (
            ExactSpectrum(hessian)
            if exact
            else EstimatedSpectrum(hessian, trace_samples, lanczos_steps, seed)
        )
        results.update(parameters=count, exact=exact)
        stages = {
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
        self._stage, self._done, self._total = "", 0, None

    def begin(self, stage: str, passes: int | None) -> None:
        """Begin a stage of so many passes over all batches."""
        total = None if passes is None else passes * len(self._batches)
        self._stage, self._done, self._total = stage, 0, total
        if total != 0:
            self._report(stage, 0, total)

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
            f"needs (group norm in torch 2.13, for one): {str(error).splitlines()[0]}"
        ) from error
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise UserError(
            f"the same weights and images gave two different results ({error.args[0]}): a layer "
            "is random in evaluation mode, or a gradient is not a number"
        ) from error
