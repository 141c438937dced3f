"""Training steps of several networks in turn, and the parts that GCP puts behind the last stage.

The parts (reducing convolution, layer, classifier) are timed alone in the same run, so that the
layer's own share is not confused with that of the larger classifier.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from peers import plain
from timing import interleaved, ratio, summary
from torch import Tensor, nn

from gcp_mm.ops import global_covariance_pool

CLASSES = 1000
CONTROL, GCP = "GAP, stride 1", "GCP"
"""GAP with the last stage as GCP has it, and the network whose parts are timed."""


class StepBench:
    """Steps and parts of networks of one backbone.

    Args:
        models: By name, CONTROL and GCP among them. GCP has ``backbone``, which returns a tuple of
            features, ``neck.reduce``, ``neck.num_iters`` and ``head.fc``.
        device: Where they are trained.
        batch: Number of images.
        size: Their height and width.
        amp: Whether under autocast in bfloat16.
        repetitions: Timed rounds of the steps; of the parts three times as many.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        device: torch.device,
        batch: int,
        size: int,
        amp: bool,
        repetitions: int,
    ) -> None:
        self.device, self.batch, self.size, self.amp = device, batch, size, amp
        self.repetitions = repetitions
        on_cpu = device.type == "cpu"
        self.layout = torch.contiguous_format if on_cpu else torch.channels_last
        self.models = {
            name: model.to(device, memory_format=self.layout) for name, model in models.items()
        }
        self.optimizers = {
            name: torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
            for name, model in self.models.items()
        }

    @abstractmethod
    def loss(self, name: str, drawn: Any) -> Tensor:
        """Return the loss of a network."""

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return images and their classes."""
        images = torch.randn(self.batch, 3, self.size, self.size, device=self.device)
        labels = torch.randint(CLASSES, (self.batch,), device=self.device)
        return images.to(memory_format=self.layout), labels

    def autocast(self) -> AbstractContextManager:
        """Return bfloat16 autocast if it is asked for."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.amp else nullcontext()

    def step(self, name: str, drawn: Any) -> None:
        """Train for one iteration."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        with self.autocast():
            loss = self.loss(name, drawn)
        loss.backward()
        optimizer.step()

    def parts(self) -> dict[str, Callable[[Any], None]]:
        """Return what GCP adds behind the last stage, each with forward and backward."""
        gcp: Any = self.models[GCP]
        with torch.no_grad(), self.autocast():
            features = gcp.backbone(self.draw()[0])[-1]
            reduced = gcp.neck.reduce(features)
            vectors = gcp.neck((features,))[0]
        pool = partial(plain, num_iters=gcp.neck.num_iters)
        functions: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
            "reducing convolution": (gcp.neck.reduce, features),
            "layer": (partial(global_covariance_pool, num_iters=gcp.neck.num_iters), reduced),
            "layer, plain": (pool, reduced),
            "classifier": (gcp.head.fc, vectors),
        }
        return {name: partial(self.pass_of, *pair) for name, pair in functions.items()}

    def pass_of(self, function: Callable[[Tensor], Tensor], given: Tensor, _: Any) -> None:
        """Run a part forward and backward."""
        given = given.detach().requires_grad_()
        with self.autocast():
            result = function(given)
        result.backward(torch.ones_like(result))

    def measure(self, warm_up: int = 1) -> dict[str, Any]:
        """Time steps and parts."""
        steps = {name: partial(self.step, name) for name in self.models}
        times = interleaved(steps, self.draw, self.device, self.repetitions, warm_up)
        parts = interleaved(self.parts(), lambda: None, self.device, 3 * self.repetitions)
        control = times[CONTROL]
        median = summary(control)["median_ms"]
        report: dict[str, Any] = {"steps": {}, "parts": {}}
        for name, samples in times.items():
            report["steps"][name] = summary(samples) | {"of_control": ratio(samples, control)}
        for name, samples in parts.items():
            found = summary(samples)
            report["parts"][name] = found | {"share_of_control": found["median_ms"] / median}
        return report
