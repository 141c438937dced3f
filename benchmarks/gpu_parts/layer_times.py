"""Part 3: how long the layer takes, beside its peers on the same features in the same process."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from floor import gram_operations
from machine import matmul_rate
from peers import Layer, layers, plain
from setting import DTYPES, Setting
from timing import interleaved, ratio, summary

from gcp_mm.ops import explain
from gcp_mm.ops.dispatch import IMPLEMENTATIONS
from gpu_parts.counting import copy_rate, graph_seconds, host_seconds, launches, memory
from gpu_parts.rows import FAIL, PASS, SKIP, Rows
from gpu_parts.settings import Settings

STEPS = 5
FUSED = "gram_fused"
OURS = tuple(name for name in IMPLEMENTATIONS if name not in ("gram_autograd", "reference"))
"""The operator, in all the ways that it can be computed: which is the default is decided here."""

NAMES = {"bfloat16": "AMP", "float32": "float32"}
MILLISECONDS = {("bfloat16", 14): 0.5, ("bfloat16", 7): 0.15}
"""Goals for a forward and a backward pass of the device alone."""

FASTER = {("bfloat16", 14): 3, ("bfloat16", 7): 30}
"""Goals over the plain formulas, compiled."""

LAUNCHES, HOST_MILLISECONDS, PEAK_MEBIBYTES = 9, 0.5, 170
"""Goals in half precision; that for launches is one of the fused way alone."""


class Measured:
    """One precision and size of the maps.

    Args:
        settings: Of the check.
        rows: Where the rows go.
        dtype: 'bfloat16', under autocast, or 'float32'.
        side: Height and width of the maps.
    """

    def __init__(self, settings: Settings, rows: Rows, dtype: str, side: int) -> None:
        args = argparse.Namespace(
            batch=settings.size(256, 2),
            channels=settings.size(256, 12),
            num_iters=STEPS,
            dtype=dtype,
            layout="contiguous",
            device=settings.device,
        )
        self.settings, self.rows, self.key = settings, rows, (dtype, side)
        self.setting = Setting(args, side)
        self.device = self.setting.device
        self.name = f"{NAMES[dtype]} {side} x {side}"
        self.repetitions = settings.size(50, 2)
        # Together they are larger than the caches.
        self.ring = itertools.cycle([self.setting.draw() for _ in range(settings.size(6, 2))])
        self.drawn = next(self.ring)
        self.known: dict[str, bool] = {}
        self.replays: dict[str, float] = {}

    def goal(self, goals: dict[tuple[str, int], float]) -> float | None:
        """Return the goal of this precision and size, if there is one here."""
        return goals.get(self.key) if self.settings.has_goals else None

    def accurate(self, name: str, layer: Layer) -> bool:
        """Say whether a layer may be timed; write the errors of ours, and of one that may not."""
        if name in self.known:
            return self.known[name]
        errors = self.setting.errors(layer)
        good = self.known[name] = self.setting.accurate(name, errors)
        worst = [max(pair) if isinstance(pair, list) else pair for pair in errors.values()]
        cases = ", ".join(
            f"{case} {one if isinstance(one, str) else format(one, '.1e')}"
            for case, one in zip(errors, worst, strict=True)
        )
        if name in OURS or not good:
            status = FAIL if name in OURS and not good else PASS if good else SKIP
            note = "" if good else "no time, above the bounds: "
            self.rows.add(f"errors of {name}, {self.name}", status, note + cases, errors=errors)
        return good

    def time(self, candidates: dict[str, Layer]) -> dict[str, list[float]]:
        """Time layers that are accurate, all in turn, forward and backward."""
        timed = {name: layer for name, layer in candidates.items() if self.accurate(name, layer)}
        if not timed:
            return {}
        calls = {name: partial(self.setting.both, layer) for name, layer in timed.items()}
        return interleaved(calls, lambda: next(self.ring), self.device, self.repetitions, 3)

    def compare(self, candidates: dict[str, Layer]) -> None:
        """Write how many times faster ours are than others, by events and by replay."""
        times = self.time(candidates)
        for name in (name for name in times if name not in OURS):
            least = self.goal(FASTER) if name == "plain, compiled" else None
            takes = f"; it takes {summary(times[name])['median_ms']:.3g} ms"
            for our in (our for our in OURS if our in times):
                found = ratio(times[name], times[our])
                more = "x ({:.3g} to {:.3g})".format(*found["interval"])
                title = f"{our} faster than {name}, {self.name}"
                self.rows.number(title, found["ratio"], more + takes, least=least, **found)
            if name.startswith("plain") and self.replays:  # others may not be captured
                both = partial(self.setting.both, candidates[name], self.drawn)
                other = 1e3 * graph_seconds(both, self.device, self.repetitions)
                takes = f"x; it takes {other:.3g} ms"
                for our in (our for our in self.replays if our in times):
                    title = f"{our} faster than {name}, {self.name}, replay"
                    self.rows.number(title, other / self.replays[our], takes, None, least)

    def ours(self, our: str, layer: Layer, rate: float, bytes_in_a_second: float) -> None:
        """Write the time of one of ours, what it is of the floor, and what the host does."""
        samples = self.time({our: layer}).get(our)
        if samples is None:
            return
        found, goals = summary(samples), self.settings.has_goals
        name, half = f"{our}, {self.name}", self.key[0] == "bfloat16"
        unit = "ms ({:.3g} to {:.3g})".format(*found["quartiles_ms"])
        self.rows.number(f"forward + backward, {name}", found["median_ms"], unit, **found)
        both = partial(self.setting.both, layer, self.drawn)
        forward = partial(self.setting.forward, layer, self.drawn)
        number = {"forward": launches(forward, self.device), "both": launches(both, self.device)}
        unit = f"of which forward {number['forward']}"
        most = LAUNCHES if our == FUSED and half and goals else None
        self.rows.number(f"launches, {name}", number["both"], unit, most, **number)
        host = 1e3 * host_seconds(both, self.device, self.repetitions)
        most = HOST_MILLISECONDS if half and goals else None
        self.rows.number(f"host time, {name}", host, "ms", most)
        replay = self.replays[our] = 1e3 * graph_seconds(both, self.device, self.repetitions)
        most = self.goal(MILLISECONDS)
        self.rows.number(f"replay of a CUDA graph, {name}", replay, "ms", most)
        floors = self.floors(rate, bytes_in_a_second)
        limit = max(floors, key=floors.__getitem__)
        unit = f"% of the replay; the floor is {1e3 * floors[limit]:.3g} ms, of {limit}"
        share = 1e5 * floors[limit] / replay
        self.rows.number(f"share of the floor, {name}", share, unit, **floors)
        if self.device.type == "cuda":
            most = PEAK_MEBIBYTES if goals and half else None
            peak = memory(both, self.device) / 2**20
            self.rows.number(f"peak beyond the input, {name}", peak, "MiB", most)

    def floors(self, rate: float, bytes_in_a_second: float) -> dict[str, float]:
        """Return the seconds that arithmetic, and moving bytes, cannot do without."""
        batch, channels, *sides = self.setting.shape
        operations = batch * gram_operations(channels, sides[0] * sides[1], STEPS)
        x, grad = self.drawn
        # The features are read twice and their gradient written; vectors in and out.
        moved = 3 * x.nbytes + 2 * grad.numel() * x.element_size()
        return {"arithmetic": operations / rate, "bytes": moved / bytes_in_a_second}


def compiled(settings: Settings, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile the honest rival with the longest search, but for the quick run."""
    how: dict[str, Any] = dict(mode="max-autotune-no-cudagraphs")
    if settings.quick:
        how = dict(backend="eager")
    return torch.compile(function, fullgraph=True, dynamic=False, **how)


def run(settings: Settings, rows: Rows, end: float) -> None:
    """Write what is quick first, then what has a goal, because compilers may use up the time.

    The fused way comes after the others, because an access that a GPU does not allow ends all that
    this process does there; only what is compiled for float32, without a goal, comes later still.
    """
    torch.manual_seed(0)
    torch._dynamo.config.recompile_limit = 64
    device = settings.torch_device
    size = settings.size(8192, 64)
    rates = {}
    for dtype in NAMES:
        rates[dtype] = matmul_rate(device, DTYPES[dtype], size)
        rows.number(f"rate of a large product, {dtype}", rates[dtype] / 1e12, "TFLOP/s")
    copied = copy_rate(device, settings.size(1024, 1))
    rows.number("rate of a copy, read and written", copied / 1e12, "TB/s")
    measured = [
        Measured(settings, rows, dtype, side)
        for dtype in NAMES
        for side in ((3,) if settings.quick else (14, 7))
    ]
    half = [one for one in measured if NAMES[one.key[0]] == "AMP"]
    single = [one for one in measured if one not in half]
    candidates = layers(STEPS, False, list(settings.peers))
    del candidates["gram_autograd"]
    others = {name: layer for name, layer in candidates.items() if name not in OURS}
    rival = {"plain, compiled": compiled(settings, partial(plain, num_iters=STEPS))}

    def ours(one: Measured, our: str) -> None:
        rows.add(f"what runs, {our}, {one.name}", "-", explain(one.drawn[0], our))
        one.ours(our, candidates[our], rates[one.key[0]], copied)

    def time_ours(names: tuple[str, ...]) -> None:
        for one, our in itertools.product(measured, names):
            rows.attempt(f"{our}, {one.name}", ours, one, our)

    def compare(some: list[Measured], names: tuple[str, ...], rivals: dict[str, Layer]) -> None:
        layers_of_ours = {our: candidates[our] for our in names}
        for one in some:
            title = f"{', '.join(names)} and others, {one.name}"
            rows.attempt(title, one.compare, {**layers_of_ours, **rivals})

    first = tuple(our for our in OURS if our != FUSED)
    time_ours(first)
    compare(measured, first, others)
    compare(half, first, rival)
    time_ours((FUSED,))
    compare(half, (FUSED,), {**others, **rival})
    compare(single, (FUSED,), others)
    for names in (first, (FUSED,)):
        compare(single, names, rival)
