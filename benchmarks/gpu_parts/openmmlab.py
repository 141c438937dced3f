"""Part 5: mmcv's operators on the GPU against the CPU, and training and testing by the tools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_parts import configs
from gpu_parts.packed import class_folders, detection_images
from gpu_parts.processes import Job, as_they_end, last_lines
from gpu_parts.rows import FAIL, PASS, Rows
from gpu_parts.settings import Settings
from gpu_parts.tools import can_run, finite, losses, start

METRIC = re.compile(r"(accuracy/top1|coco/bbox_mAP|coco/segm_mAP): (-?[\d.]+|nan)")


def _boxes(number: int) -> Tensor:
    corners = torch.rand(number, 2, generator=torch.Generator().manual_seed(1)) * 300
    sides = torch.rand(number, 2, generator=torch.Generator().manual_seed(2)) * 80 + 1
    return torch.cat([corners, corners + sides], dim=1)


def suppressed(device: torch.device, number: int) -> Tensor:
    """Return the indices that non-maximum suppression keeps of boxes of several classes."""
    from mmcv.ops import batched_nms

    scores = torch.rand(number, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(number) % 5
    inputs = (tensor.to(device) for tensor in (_boxes(number), scores, labels))
    return batched_nms(*inputs, dict(type="nms", iou_threshold=0.5))[1].cpu()


def aligned(
    device: torch.device, number: int, rounded: torch.dtype, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return the regions that RoIAlign pools, and the gradient of the features."""
    from mmcv.ops import RoIAlign

    features = torch.randn(2, 16, 40, 40, generator=torch.Generator().manual_seed(4))
    features = features.to(rounded).to(device, dtype).requires_grad_()
    image = torch.arange(number).remainder(2).float()[:, None]
    regions = torch.cat([image, _boxes(number)], dim=1).to(rounded).to(device, dtype)
    pooled = RoIAlign((7, 7), 0.125, 0)(features, regions)
    weight = torch.linspace(-1, 1, pooled.numel()).reshape(pooled.shape).to(device, dtype)
    (gradient,) = torch.autograd.grad((pooled * weight).sum(), features)
    return pooled.detach().cpu().float(), gradient.cpu().float()


def operators(settings: Settings, rows: Rows) -> None:
    """Compare nms and RoIAlign of the two devices."""
    device, cpu = settings.torch_device, torch.device("cpu")
    number = settings.size(4000, 40)
    found, expected = suppressed(device, number), suppressed(cpu, number)
    same = torch.equal(found, expected)
    rows.check("nms", same, f"{len(found)} boxes of {number} kept, {len(expected)} on the CPU")
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    for dtype, bound in ((torch.float32, 1e-5), (half, 2e-2)):
        errors = [
            ((one - other).abs().max() / other.abs().max()).item()
            for one, other in zip(
                aligned(device, number, dtype, dtype),
                aligned(cpu, number, dtype, torch.float32),
                strict=True,
            )
        ]
        text = "pooled {:.1e}, gradient {:.1e} of the largest".format(*errors)
        rows.check(f"RoIAlign, {dtype}", max(errors) <= bound, text, errors=errors)


class Chain:
    """Trains and tests one config.

    Args:
        settings: Of the check.
        rows: Where the rows go.
        config: The file.
        note: What the images are.
    """

    def __init__(self, settings: Settings, rows: Rows, config: Path, note: str) -> None:
        self.settings, self.rows, self.config, self.note = settings, rows, config, note
        self.name, self.work_dir = config.stem, settings.folder / "work_dirs" / config.stem
        self.iterations = settings.size(20, 1)
        self.checkpoint = self.work_dir / f"iter_{self.iterations}.pth"

    def train(self) -> Job:
        """Start the training."""
        arguments = (self.config, "--amp", "--work-dir", self.work_dir)
        return start(self.settings, f"train_{self.name}", "tools/train.py", *arguments)

    def trained(self, job: Job, failure: str | None) -> bool:
        """Write what has come of the training, and say whether there are weights to test."""
        name = f"train {self.name}, {self.iterations} iterations with --amp"
        if failure:
            self.rows.add(name, FAIL, failure, log=last_lines(job.log))
            return False
        lines = losses(self.work_dir)
        found = [line["loss"] for line in lines]
        good = len(found) == self.iterations and finite(found) and self.checkpoint.exists()
        later = lines[len(lines) // 2 :]
        seconds = sum(line["time"] for line in later) / max(1, len(later))
        text = f"{self.note}; loss {found[0]:.3g} to {found[-1]:.3g}" if found else "no losses"
        data: dict[str, Any] = dict(losses=found, seconds_in_later_half=seconds)
        data |= {} if good else {"log": last_lines(job.log)}
        self.rows.check(name, good, f"{text}; {1e3 * seconds:.0f} ms an iteration", **data)
        return self.checkpoint.exists()

    def test(self) -> Job:
        """Start the test."""
        arguments = (self.config, self.checkpoint, "--work-dir", self.work_dir)
        return start(self.settings, f"test_{self.name}", "tools/test.py", *arguments)

    def tested(self, job: Job, failure: str | None) -> None:
        """Write what has come of the test."""
        found = dict(METRIC.findall(job.text()))
        good = failure is None and finite([float(value) for value in found.values()])
        text = ", ".join(f"{name} {value}" for name, value in found.items())
        data: dict[str, Any] = found if good else found | {"log": last_lines(job.log)}
        self.rows.add(f"test {self.name}", PASS if good else FAIL, failure or text, **data)


def chains(settings: Settings, rows: Rows) -> list[Chain]:
    """Write the configs of a classifier and a detector."""
    full = not settings.quick
    workers, folder = settings.size(4, 0), settings.folder
    common = dict(workers=workers, iterations=settings.size(20, 1))
    images, note = class_folders(settings.bundle, folder, settings.size(2000, 30))
    classifier = configs.write_config(
        folder / "resnet50_gcp_lrnorm_10_classes.py",
        configs.CLASSIFIER + ("" if full else configs.TINY_CLASSIFIER + configs.FIXED_SIZE),
        **dict(common, images=images, batch=settings.size(64, 4), side=64),
        base="resnet50_gcp_lrnorm",
    )
    scenes, origin = detection_images(settings.bundle, folder)
    drawn = origin != "packed COCO"
    names = ", metainfo=dict(classes=('disk', 'triangle', 'star'))" if drawn else ""
    detector = configs.write_config(
        folder / "mask_rcnn_r50_gcpm_small.py",
        configs.DETECTOR + ("" if full else configs.TINY_DETECTOR),
        **dict(common, images=scenes, batch=settings.size(4, 2), classes=names),
        number=3 if drawn else 80,
        side=settings.size(320, 64),
    )
    return [Chain(settings, rows, classifier, note), Chain(settings, rows, detector, origin)]


def run(settings: Settings, rows: Rows, end: float) -> None:
    """Compare the operators while both networks are trained, and test each that is."""
    if not can_run(rows, "operators, training and testing"):
        return
    trainings = {(job := chain.train()): chain for chain in chains(settings, rows)}
    tests: dict[Job, Chain] = {}
    jobs = list(trainings)
    try:
        rows.attempt("operators", operators, settings, rows)
        for job, failure in as_they_end(jobs, end):
            if job in tests:
                tests[job].tested(job, failure)
            elif trainings[job].trained(job, failure):
                jobs.append(trainings[job].test())
                tests[jobs[-1]] = trainings[job]
    finally:
        for job in jobs:
            job.stop()
