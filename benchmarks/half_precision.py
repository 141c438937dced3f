"""Measure the errors of float16 carriers, with float16 arithmetic on the CPU.

Each line has the norm of the error over that of the exact value, and of the exact gradient, for the
worst of a few samples.
"""

from __future__ import annotations

import argparse

import torch
from features import CASES, relu
from torch import Tensor

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.carrier import Carrier
from gcp_mm.ops.gram_passes import gram_backward, gram_forward


def rank_one(*shape: int) -> Tensor:
    """Multiply a pattern of the channels by one of the positions."""
    return relu(*shape[:2], 1) * relu(shape[0], 1, shape[2])


def one_position(*shape: int) -> Tensor:
    """Let one position lie far above the others."""
    x = relu(*shape)
    x[..., 0] *= 20
    return x


def few_positions(*shape: int) -> Tensor:
    """Give three positions the same features, and the others none."""
    x = torch.zeros(shape)
    x[..., :3] = relu(*shape[:2], 1)
    return x


MORE = {"rank one": rank_one, "one position": one_position, "three positions": few_positions}


def errors(x: Tensor, grad: Tensor, num_iters: int, *, fused: bool) -> tuple[float, float]:
    """Return the errors of value and gradient on one sample."""
    exact = x.double().requires_grad_()
    value = global_covariance_pool(exact, num_iters, impl="reference")
    (gradient,) = torch.autograd.grad(value, exact, grad.double())
    carrier = Carrier(torch.float16, fused)
    found = (
        gram_forward(x, num_iters, carrier, torch.empty_like(grad)),
        gram_backward(grad, x, num_iters, carrier, torch.empty_like(x)),
    )
    pairs = zip(found, (value.detach(), gradient), strict=True)
    return tuple(((ours.double() - theirs).norm() / theirs.norm()).item() for ours, theirs in pairs)


def main() -> None:
    """Print a line for each kind of features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--positions", type=int, default=196)
    parser.add_argument("--num-iters", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--plain", action="store_true", help="without the Triton kernels")
    args = parser.parse_args()
    for name, make in (CASES | MORE).items():
        if name == "constant":
            # Exactly zero, which has no relative error.
            continue
        worst = [0.0, 0.0]
        for seed in range(args.samples):
            torch.manual_seed(seed)
            x = make(1, args.channels, args.positions).half().float()
            grad = torch.randn(1, args.channels * (args.channels + 1) // 2)
            found = errors(x, grad, args.num_iters, fused=not args.plain)
            worst = list(map(max, worst, found))
        print(f"{name:16} {worst[0]:.1e} / {worst[1]:.1e}")


if __name__ == "__main__":
    main()
