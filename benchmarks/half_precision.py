"""Measure the errors of float16 carriers, with float16 arithmetic on the CPU.

Each line has the norm of the error over that of the exact value, and of the exact gradient, for the
worst of a few samples. Fused products are those of the Triton kernels' plain twins.
"""

from __future__ import annotations

import argparse

import torch
from exact import exact_layer
from features import CASES, relu
from setting import relative
from torch import Tensor

from gcp_mm.ops.gram.arithmetic import Carrier
from gcp_mm.ops.gram.passes import gram_backward, gram_forward


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


def main() -> None:
    """Print a line for each kind of features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--positions", type=int, default=196)
    parser.add_argument("--num-iters", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--plain", action="store_true", help="products that are not fused")
    args = parser.parse_args()
    shape = (args.samples, args.channels, args.positions)
    carrier = Carrier(torch.float16, fused=not args.plain)
    for name, make in (CASES | MORE).items():
        torch.manual_seed(0)
        x = make(*shape).half().float()
        grad = torch.randn(args.samples, args.channels * (args.channels + 1) // 2)
        value, gradient = exact_layer(x, grad, args.num_iters)
        found = gram_forward(x, args.num_iters, carrier, torch.empty_like(grad))
        pulled_back = gram_backward(grad, x, args.num_iters, carrier, torch.empty_like(x))
        print(f"{name:16} {relative(found, value):.1e} / {relative(pulled_back, gradient):.1e}")


if __name__ == "__main__":
    main()
