"""Random features of every kind through the layer, against eigenvalues in float64.

``python tests/trials/layer_fuzz.py --seconds 180 --seed 0``. A failure is printed with its seed;
``--case SEED`` repeats that one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from outcome import Outcome
from torch import Tensor

from gcp_mm.ops import global_covariance_pool

DTYPES = (torch.float32, torch.float32, torch.float64, torch.bfloat16, torch.float16)
IMPLEMENTATIONS = ("gram", "gram", "gram without C", "gram_autograd", "reference")
KINDS = (
    *("normal", "relu", "sparse", "mean", "rank one", "nearly rank one", "constant maps"),
    *("dead channels", "one channel above", "one position above", "low rank", "not finite"),
)
LAYOUTS = ("plain", "channels last", "strided", "sliced", "expanded", "batch innermost")
# Seconds that torch.compile may take for the layer, forward and backward.
COMPILE_LIMIT = 120
# Eigenvalues nearer to each other than this share the derivative between them.
NEAR = 1e-8


@dataclass(frozen=True)
class Case:
    """What is tried, all of it drawn from the seed."""

    seed: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    kind: str
    layout: str
    magnitude: float
    steps: int
    impl: str
    threads: int

    @classmethod
    def draw(cls, seed: int) -> Case:
        """Draw a case."""
        draw = random.Random(seed)
        dtype = draw.choice(DTYPES)
        sizes = (1, 2, 3, 5, 8, 9, 16, 17, 31, 33, 49, 64, 65, 100, 129, 140)
        batch = draw.choice((0, 1, 1, 2, 3, 5))
        channels = draw.choice(sizes)
        positions = (draw.choice(sizes),)
        if draw.random() < 0.5:
            positions = (draw.choice((1, 2, 3, 7, 10)), draw.choice((1, 2, 5, 7, 13)))
        # 1e-38 to half of the largest float; half precision reaches less far down.
        limits = torch.finfo(dtype)
        low, high = np.log(max(1e-38, float(limits.tiny))), np.log(limits.max / 2)
        ends = (low, high)
        exponent = draw.choice((0.0, draw.uniform(-3, 3), draw.uniform(*ends), *ends))
        return cls(
            seed,
            (batch, channels, *positions),
            dtype,
            draw.choice(KINDS),
            draw.choice(LAYOUTS),
            float(np.exp(exponent)),
            draw.randint(1, 7),
            draw.choice(IMPLEMENTATIONS),
            draw.choice((1, 2)),
        )

    def features(self) -> Tensor:
        """Make the features, of largest magnitude ``magnitude``."""
        numbers = np.random.default_rng(self.seed)
        batch, channels, *positions = self.shape
        x = numbers.standard_normal((batch, channels, int(np.prod(positions))))
        if self.kind == "relu":
            x = x.clip(0)
        elif self.kind == "sparse":
            x = (x - 2).clip(0)
        elif self.kind == "mean":
            x += 50 * numbers.standard_normal((batch, channels, 1))
        elif self.kind in ("rank one", "nearly rank one"):
            noise = 0.0 if self.kind == "rank one" else 10.0 ** numbers.uniform(-7, -1)
            x = x[..., :1] * x[:, :1] + noise * numbers.standard_normal(x.shape)
        elif self.kind == "constant maps":
            x[:] = x[..., :1]
        elif self.kind == "dead channels":
            x[:, numbers.random(channels) < 0.7] = numbers.choice((0.0, 3.3))
        elif self.kind == "one channel above":
            x[:, numbers.integers(channels)] *= 10.0 ** numbers.uniform(1, 12)
        elif self.kind == "one position above":
            x[..., numbers.integers(x.shape[-1])] *= 10.0 ** numbers.uniform(1, 12)
        elif self.kind == "low rank":
            rank = int(numbers.integers(1, 4))
            mix = numbers.standard_normal((batch, channels, rank))
            x = mix @ numbers.standard_normal((batch, rank, x.shape[-1]))
        largest = np.abs(x).max(initial=0) or 1
        x = torch.from_numpy(x / largest * self.magnitude)
        # Rounding must not take it above half of the largest.
        half = torch.finfo(self.dtype).max / 2
        x = x.clamp(-half, half).to(self.dtype).reshape(self.shape)
        if self.kind == "not finite" and x.numel():
            x[0].flatten()[numbers.integers(x[0].numel())] = float(numbers.choice((np.nan, np.inf)))
        return _laid_out(x, self.layout)

    def cotangent(self) -> Tensor:
        """Make the incoming gradient."""
        batch, channels = self.shape[:2]
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(
            batch, channels * (channels + 1) // 2, generator=generator, dtype=torch.float64
        ).to(self.dtype)


def _laid_out(x: Tensor, layout: str) -> Tensor:
    """Put the same numbers elsewhere in memory."""
    if layout == "channels last":
        form = torch.channels_last
        return x.contiguous(memory_format=form) if x.dim() == 4 else x.mT.contiguous().mT
    if layout == "strided":
        return torch.stack([x, x.flip(0)], dim=-1)[..., 0]
    if layout == "sliced":
        return torch.cat([x[:, :1], x, x[:, :1]], dim=1)[:, 1:-1]
    if layout == "expanded":
        return x[:1].expand_as(x)
    if layout == "batch innermost":
        return x.movedim(0, -1).contiguous().movedim(-1, 0)
    return x


def exact(x: Tensor, cotangent: Tensor, steps: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Compute value and gradient of one sample by its eigenvalues, in float64.

    With A = U diag(l) U^T, the layer is sqrt(t) U diag(p(l)) U^T, and the derivative of p at A has
    the divided differences of p at pairs of eigenvalues.

    Returns:
        The value over the largest magnitude of the sample, the gradient, and that magnitude.
    """
    features = x.double().flatten(1).numpy()
    channels, positions = features.shape
    magnitude = float(np.abs(features).max()) or 1.0
    features = features / magnitude
    centred = features - features[:, :1]
    centred = centred - centred.mean(axis=1, keepdims=True)
    spread = float(np.abs(centred).max())
    upper = np.triu_indices(channels)
    if spread == 0:
        return np.zeros(len(upper[0])), np.zeros_like(features), magnitude
    centred /= spread
    trace = float((centred**2).sum()) / positions
    values, vectors = np.linalg.eigh(centred @ centred.T / positions / trace)
    values = values.clip(0)
    roots, slopes = _polynomial(values, steps)
    root = (vectors * roots) @ vectors.T
    value = spread * np.sqrt(trace) * root[upper]

    incoming = np.zeros((channels, channels))
    incoming[upper] = cotangent.double().numpy()
    incoming = (incoming + incoming.T) / 2
    difference = values[:, None] - values
    near = np.abs(difference) < NEAR
    middle = _polynomial((values[:, None] + values) / 2, steps)[1]
    quotient = np.where(near, middle, (roots[:, None] - roots) / np.where(near, 1, difference))
    direction = vectors @ (quotient * (vectors.T @ incoming @ vectors)) @ vectors.T
    normalised = centred / np.sqrt(positions * trace)
    along = (incoming * root).sum()
    g = direction @ normalised
    gradient = (2 * g + (along - 2 * (g * normalised).sum()) * normalised) / np.sqrt(positions)
    return value, gradient, magnitude


def _polynomial(values: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return p_n(l) and its derivative."""
    y, z, dy, dz = values, np.ones_like(values), np.ones_like(values), np.zeros_like(values)
    for _ in range(steps):
        t, dt = (3 - z * y) / 2, -(dz * y + z * dy) / 2
        y, z, dy, dz = y * t, z * t, dy * t + y * dt, dz * t + z * dt
    return y, dy


def evaluate(case: Case) -> tuple[Tensor, Tensor]:
    """Evaluate the layer and its gradient."""
    impl, _, without = case.impl.partition(" without ")
    os.environ["GCP_MM_CPU_KERNELS"] = "0" if without else "1"
    torch.set_num_threads(case.threads)
    x = case.features().detach().requires_grad_()
    value = global_covariance_pool(x, case.steps, impl)
    (gradient,) = torch.autograd.grad(value, x, case.cotangent())
    return value.detach(), gradient


def fault(case: Case) -> str | None:
    """Try a case; say what is wrong with it."""
    value, gradient = evaluate(case)
    x, cotangent = case.features(), case.cotangent()
    if value.dtype != x.dtype or gradient.shape != x.shape or len(value) != len(x):
        return f"value {value.dtype} {tuple(value.shape)}, gradient {tuple(gradient.shape)}"
    for index in range(len(x)):
        wrong = _fault_of_sample(case, x[index], cotangent[index], value[index], gradient[index])
        if wrong:
            return f"sample {index}: {wrong}"
    return None


def _fault_of_sample(
    case: Case, x: Tensor, cotangent: Tensor, value: Tensor, gradient: Tensor
) -> str | None:
    if not x.isfinite().all():
        hidden = value.isfinite().all() or gradient.isfinite().all()
        return "features that are not finite give finite numbers" if hidden else None
    expected, expected_gradient, magnitude = exact(x, cotangent, case.steps)
    channels, positions = expected_gradient.shape
    limits = torch.finfo(case.dtype)
    # Each step enlarges what is at eigenvalues of zero, and its rounding, 1.5 times.
    growth = 1 + 1.5**case.steps
    compute = max(1.2e-7 if case.dtype != torch.float64 else 1e-11, limits.eps / growth)
    rounding = 8 * compute * growth
    if case.kind == "one position above":
        # The mean carries the rounding of that position into every other one.
        rounding *= 4
    least = float(limits.smallest_normal) * float(limits.eps)
    if not value.isfinite().all():
        return "the value is not finite"
    error = np.linalg.norm(value.double().numpy() / magnitude - expected)
    allowed = rounding * np.linalg.norm(expected) + 8 * least / magnitude * np.sqrt(value.numel())
    if not error <= allowed:
        return f"the value is off by {error:.2e}, allowed {allowed:.2e}"
    plain = not case.impl.startswith("gram") or case.impl == "gram_autograd"
    # What plain operators multiply the incoming gradient by has to be a float with all its digits.
    computed = torch.finfo(torch.float64 if case.dtype == torch.float64 else torch.float32)
    largest, smallest = computed.max / (1e4 * channels**2), computed.tiny * 1e8
    if plain and not smallest < magnitude < largest:
        return None
    if not gradient.isfinite().all():
        return "the gradient is not finite"
    error = np.linalg.norm(gradient.double().flatten(1).numpy() - expected_gradient)
    # Where the gradient cancels, what it consists of is what is rounded.
    parts = np.linalg.norm(expected_gradient)
    if expected.any():
        parts += float(cotangent.double().norm()) / np.sqrt(positions * min(channels, positions))
    allowed = 4 * rounding * parts + 8 * least * np.sqrt(gradient.numel())
    if not error <= allowed:
        return f"the gradient is off by {error:.2e}, allowed {allowed:.2e}"
    return None


def compile_fault() -> str | None:
    """Compile the layer; say if that takes too long or changes the result."""
    torch._dynamo.reset()
    started = time.monotonic()
    compiled = torch.compile(lambda x: global_covariance_pool(x), fullgraph=True, dynamic=True)
    for shape in ((2, 17, 3, 4), (3, 9, 5, 5)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        found, expected = compiled(x), global_covariance_pool(x)
        gradients = [torch.autograd.grad(v.sum(), x)[0] for v in (found, expected)]
        if not torch.allclose(found, expected) or not torch.allclose(*gradients, atol=1e-6):
            return f"{shape}: compiled, the layer computes something else"
    seconds = time.monotonic() - started
    return f"it took {seconds:.0f} s" if seconds > COMPILE_LIMIT else None


def attempt(outcome: Outcome, case: object, what: object) -> None:
    """Count one case, whatever it raises."""
    try:
        wrong = what()
    except Exception as error:  # whatever it is, it is a finding
        wrong = f"{type(error).__name__}: {error}".splitlines()[0]
    if wrong:
        outcome.failed(str(case), wrong)
    else:
        outcome.held()


def run(inputs: object, seconds: float, seed: int) -> int:
    """Run the trial for so many seconds, as one of ``python tests/trials``."""
    outcome = Outcome("layer_fuzz")
    ends = time.monotonic() + seconds
    attempt(outcome, "torch.compile", compile_fault)
    number = seed * 10**6
    while time.monotonic() < ends:
        case = Case.draw(number)
        attempt(outcome, case, lambda case=case: fault(case))
        number += 1
    return outcome.report()


def main() -> int:
    """Run the trial alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="repeat the case with this seed alone")
    args = parser.parse_args()
    if args.case is None:
        return run(None, args.seconds, args.seed)
    outcome = Outcome("layer_fuzz")
    attempt(outcome, Case.draw(args.case), lambda: fault(Case.draw(args.case)))
    return outcome.report()


if __name__ == "__main__":
    sys.exit(main())
