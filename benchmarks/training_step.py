"""Time whole training steps of GAP and GCP networks, and what the layer adds to them.

Four networks take turns on the same random images: GAP as published; GAP with the last stage at
stride 1, as GCP has it, which is the fair control; GCP with this project's layer; GCP with the
published formulas in plain PyTorch. A step is forward, loss, backward and SGD. The parts that GCP
puts behind the last stage (reducing convolution, layer, classifier) are timed alone in the same
run, so that the layer's own share is not confused with that of the larger classifier.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import describe, write_report
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from peers import plain
from timing import interleaved, ratio, summary
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401
from gcp_mm.ops import global_covariance_pool

REPO = Path(__file__).resolve().parent.parent
CLASSES = 1000


class PlainNeck(nn.Module):
    """The GCP neck with the published formulas instead of the layer."""

    def __init__(self, neck: nn.Module) -> None:
        super().__init__()
        self.reduce, self.num_iters = neck.reduce, neck.num_iters

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the vectors of the last features."""
        return (plain(self.reduce(features[-1]), self.num_iters),)


def build(backbone: str, pooling: str) -> nn.Module:
    """Build the published network with random weights, ready to train."""
    cfg = Config.fromfile(REPO / f"configs/imagenet/{backbone}_{pooling}_lrnorm.py")
    init_default_scope("mmpretrain")
    return MODELS.build(cfg.model).train()


def networks(backbone: str) -> dict[str, nn.Module]:
    """Return the four networks by name."""
    gap, control, gcp, gcp_plain = (
        build(backbone, pooling) for pooling in ("gap", "gcp", "gcp", "gcp")
    )
    control.neck, control.head = gap.neck, build(backbone, "gap").head
    gcp_plain.neck = PlainNeck(gcp_plain.neck)
    return {"GAP": gap, "GAP, stride 1": control, "GCP": gcp, "GCP, plain": gcp_plain}


class Bench:
    """Steps and parts of one backbone.

    Args:
        args: The command line.
        backbone: 'resnet50' or 'mobilenetv2'.
    """

    def __init__(self, args: argparse.Namespace, backbone: str) -> None:
        self.args, self.device = args, torch.device(args.device)
        layout = torch.channels_last if args.device != "cpu" else torch.contiguous_format
        self.models = {
            name: model.to(self.device, memory_format=layout)
            for name, model in networks(backbone).items()
        }
        self.optimizers = {
            name: torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
            for name, model in self.models.items()
        }
        self.layout = layout

    def autocast(self) -> Any:
        """Return bfloat16 autocast if it is asked for."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.args.amp else nullcontext()

    def draw(self) -> tuple[Tensor, list[DataSample]]:
        """Return images and their classes."""
        shape = (self.args.batch, 3, self.args.size, self.args.size)
        images = torch.randn(shape, device=self.device).to(memory_format=self.layout)
        labels = torch.randint(CLASSES, (self.args.batch,), device=self.device)
        return images, [DataSample().set_gt_label(label[None]) for label in labels]

    def step(self, name: str, drawn: tuple[Tensor, list[DataSample]]) -> None:
        """Train for one iteration."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        with self.autocast():
            loss = self.models[name](*drawn, mode="loss")["loss"]
        loss.backward()
        optimizer.step()

    def parts(self) -> dict[str, Callable[[Any], None]]:
        """Return what GCP adds behind the last stage, each with forward and backward."""
        gcp = self.models["GCP"]
        with torch.no_grad(), self.autocast():
            features = gcp.backbone(self.draw()[0])[-1]
            reduced = gcp.neck.reduce(features)
            vectors = gcp.neck((features,))[0]
        pool = partial(plain, num_iters=gcp.neck.num_iters)
        functions = {
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

    def measure(self) -> dict[str, Any]:
        """Time steps and parts."""
        steps = {name: partial(self.step, name) for name in self.models}
        times = interleaved(steps, self.draw, self.device, self.args.repetitions, warm_up=1)
        parts = interleaved(self.parts(), lambda: None, self.device, 3 * self.args.repetitions)
        control = times["GAP, stride 1"]
        median = summary(control)["median_ms"]
        report = {"steps": {}, "parts": {}}
        for name, samples in times.items():
            report["steps"][name] = summary(samples) | {"of_control": ratio(samples, control)}
        for name, samples in parts.items():
            found = summary(samples)
            report["parts"][name] = found | {"share_of_control": found["median_ms"] / median}
        return report


def main() -> None:
    """Measure, print the tables and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "mobilenetv2"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--amp", action="store_true", help="autocast in bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    report = {"machine": describe(torch.device(args.device)), "arguments": vars(args)}
    report["backbones"] = {}
    for backbone in args.backbones:
        report["backbones"][backbone] = result = Bench(args, backbone).measure()
        print(f"{backbone}, batch {args.batch}")
        for name, row in result["steps"].items():
            times = f"{row['of_control']['ratio']:6.3f} times the control"
            print(f"  {name:22}{row['median_ms']:9.1f} ms  {times}")
        for name, row in result["parts"].items():
            share = f"{row['share_of_control']:7.1%} of the control"
            print(f"  {name:22}{row['median_ms']:9.1f} ms  {share}")
    write_report(report, args.out)


if __name__ == "__main__":
    main()
