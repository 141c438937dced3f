"""One shape, precision and layout in which the layers are measured."""

from __future__ import annotations

import argparse
import math
import operator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from allocated_memory import bytes_saved_for_backward, peak_bytes
from exact import exact_layer
from features import CASES, relu
from floor import gram_operations
from machine import matmul_rate
from peers import Layer, layers
from timing import interleaved, ratio, summary
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Largest errors of value and gradient: for this project's layers on ordinary features, for them on
# the hard cases, and for peers on ordinary features. Half precision: of rounded vectors.
OURS = {"float32": (1e-6, 2e-6), "bfloat16": (3e-3, 3e-3), "float16": (1e-3, 1.5e-3)}
EDGE = {"float32": 2e-5, "bfloat16": 6e-3, "float16": 3e-3}
PEERS = {"float32": 5e-6, "bfloat16": 2e-2, "float16": 5e-3}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def relative(found: Tensor, exact: Tensor) -> float:
    """Return the norm of the difference over that of the exact tensor, of the worst sample."""
    found, exact = found.cpu().double().flatten(1), exact.flatten(1)
    errors = (found - exact).norm(dim=1) / exact.norm(dim=1)
    # A sample without variance is zero, and has to be exactly that.
    errors = torch.where((exact.norm(dim=1) == 0) & (found.norm(dim=1) == 0), 0, errors)
    return errors.max().item()


class Setting:
    """One shape, precision and layout.

    Args:
        args: The command line.
        side: Height and width of the maps.
    """

    def __init__(self, args: argparse.Namespace, side: int) -> None:
        self.args, self.device = args, torch.device(args.device)
        self.shape = (args.batch, args.channels, side, side)
        self.length = args.channels * (args.channels + 1) // 2
        self.exact: dict[str, tuple[Tensor, Tensor]] = {}

    def autocast(self) -> AbstractContextManager:
        """Return autocast in the dtype that is asked for."""
        if self.args.dtype == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=DTYPES[self.args.dtype])

    def prepare(self, features: Tensor) -> Tensor:
        """Give features the dtype, device and layout."""
        layout = LAYOUTS[self.args.layout]
        return features.to(self.device, DTYPES[self.args.dtype], memory_format=layout)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return fresh features and a gradient of the vectors, which has their dtype."""
        with self.device:
            grad = torch.randn(self.args.batch, self.length).to(DTYPES[self.args.dtype])
            return self.prepare(relu(*self.shape)), grad

    def forward(self, layer: Layer, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Run a layer without a graph."""
        with torch.no_grad(), self.autocast():
            return layer(drawn[0])

    def both(self, layer: Layer, drawn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Run a layer forward and backward; return value and gradient."""
        x = drawn[0].detach().requires_grad_()
        with self.autocast():
            value = layer(x)
        (gradient,) = torch.autograd.grad(value, x, drawn[1].to(value.dtype))
        return value.detach(), gradient

    def errors(self, layer: Layer) -> dict[str, Any]:
        """Return the errors of value and gradient on a few samples of every case."""
        found = {}
        few = min(4, self.args.batch)
        for name, make in CASES.items():
            torch.manual_seed(1)
            x = self.prepare(make(few, *self.shape[1:]))
            grad = torch.randn(few, self.length).to(self.device, DTYPES[self.args.dtype])
            if name not in self.exact:  # the same for every layer
                self.exact[name] = exact_layer(x.flatten(2), grad, self.args.num_iters)
            exact = self.exact[name]
            if self.device.type != "cpu":
                # A compiled layer is compiled for each size of the batch, and that takes long.
                more, more_grad = self.draw()
                x, grad = torch.cat([x, more[few:]]), torch.cat([grad, more_grad[few:]])
            try:
                both = (part[:few] for part in self.both(layer, (x, grad)))
                pairs = zip(both, exact, strict=True)
                found[name] = [relative(a.reshape(b.shape), b) for a, b in pairs]
            except Exception as error:  # those of compilers have no class in common
                found[name] = (str(error) or type(error).__name__).splitlines()[0]
        return found

    def accurate(self, name: str, errors: dict[str, Any]) -> bool:
        """Say whether a layer may be timed."""
        dtype = self.args.dtype

        def within(case: str, *bounds: float) -> bool:
            # What failed has no errors, and nan is above any bound.
            found = errors[case]
            return not isinstance(found, str) and all(map(operator.le, found, bounds))

        if not name.startswith("gram"):
            return within("relu", PEERS[dtype], PEERS[dtype])
        hard = all(within(case, EDGE[dtype], EDGE[dtype]) for case in errors)
        return hard and within("relu", *OURS[dtype])

    def static(self, name: str, layer: Layer) -> dict[str, Any]:
        """Return what does not vary: operations, bytes kept for backward, peak memory."""
        drawn = self.draw()
        with FlopCounterMode(display=False) as counter:
            self.both(layer, drawn)
        result: dict[str, Any] = {"flops": counter.get_total_flops()}
        if name == "gram":
            # The counter takes halved products for whole ones.
            sample = gram_operations(self.shape[1], math.prod(self.shape[2:]), self.args.num_iters)
            result["flops"] = self.args.batch * sample
        if self.device.type == "cpu":
            x = drawn[0].requires_grad_()
            result["saved_bytes"] = bytes_saved_for_backward(lambda: self.run(layer, x), x)
            result["peak_bytes"] = peak_bytes(lambda: self.both(layer, drawn))
        return result

    def run(self, layer: Layer, x: Tensor) -> Tensor:
        """Run a layer with a graph."""
        with self.autocast():
            return layer(x)

    def measure(self) -> dict[str, Any]:
        """Measure every layer on this shape."""
        args = self.args
        candidates = layers(args.num_iters, not args.no_compile, args.peer)
        rows = {name: {"errors": self.errors(layer)} for name, layer in candidates.items()}
        timed = {n: f for n, f in candidates.items() if self.accurate(n, rows[n]["errors"])}
        if "gram" not in timed:
            raise SystemExit(f"gram is above its error bounds, no times: {rows['gram']['errors']}")
        # On a CPU all of them compute in float32, whatever comes in.
        rate_dtype = torch.float32 if self.device.type == "cpu" else DTYPES[args.dtype]
        rate = matmul_rate(self.device, rate_dtype)
        for mode, run in (("forward", self.forward), ("forward+backward", self.both)):
            calls = {name: partial(run, layer) for name, layer in timed.items()}
            times = interleaved(calls, self.draw, self.device, args.repetitions)
            for name, samples in times.items():
                rows[name][mode] = summary(samples)
                rows[name][mode]["gram_is_faster"] = ratio(samples, times["gram"])
        for name, layer in timed.items():
            if "compiled" not in name:
                rows[name] |= self.static(name, layer)
                floor = 1e3 * rows[name]["flops"] / rate
                rows[name]["share_of_floor"] = floor / rows[name]["forward+backward"]["median_ms"]
        return {"matmul_gflops": rate / 1e9, "layers": rows}
