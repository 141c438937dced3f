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
from pathlib import Path

import torch
from machine import describe, write_report
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from peers import plain
from step import CONTROL, GCP, StepBench
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401

REPO = Path(__file__).resolve().parent.parent


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
    return {"GAP": gap, CONTROL: control, GCP: gcp, "GCP, plain": gcp_plain}


class Bench(StepBench):
    """The four networks as mmpretrain builds them."""

    def draw(self) -> tuple[Tensor, list[DataSample]]:
        """Return images and their classes."""
        images, labels = super().draw()
        return images, [DataSample().set_gt_label(label[None]) for label in labels]

    def loss(self, name: str, drawn: tuple[Tensor, list[DataSample]]) -> Tensor:
        """Return the loss of a network."""
        return self.models[name](*drawn, mode="loss")["loss"]


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
        models, device = networks(backbone), torch.device(args.device)
        bench = Bench(models, device, args.batch, args.size, args.amp, args.repetitions)
        report["backbones"][backbone] = result = bench.measure()
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
