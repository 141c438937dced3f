"""Part 6: robustness and loss landscape of one network, measured on the GPU and on the CPU."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpu_parts import configs
from gpu_parts.packed import class_folders
from gpu_parts.processes import Job, as_they_end, last_lines
from gpu_parts.rows import FAIL, Rows
from gpu_parts.settings import Settings
from gpu_parts.tools import can_run, start

CORRUPTIONS = ("gaussian_noise", "brightness")
MOST_DIFFERENT = 0.01
"""By what share of a cell's images the numbers of right answers of two devices may differ.

They do where two scores are close. Which images these are is not compared.
"""

MOST_APART = 1e-3
"""Relative difference of a loss or a change of the gradient, beside the largest."""


def write_tree(images: Path, root: Path, number: int, side: int, severities: list[int]) -> None:
    """Write images of a size with noise, and brighter ones, in the layout of ImageNet-C."""
    folders = sorted(images.glob("val/*"))
    each = number // len(folders)
    generator = np.random.default_rng(0)
    for path in (path for folder in folders for path in sorted(folder.iterdir())[:each]):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((side, side)), dtype=float)
        for name, severity in product(CORRUPTIONS, severities):
            change = generator.normal(0, 10 * severity, pixels.shape)
            changed = pixels + (change if name == CORRUPTIONS[0] else 20 * severity)
            target = root / name / str(severity) / path.parent.name / f"{path.stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(changed.clip(0, 255).astype(np.uint8)).save(target)


def write_weights(config: Path, tree: Path, checkpoint: Path) -> None:
    """Write random weights that tell the images apart."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import MODELS
    from networks import tell_apart

    import gcp_mm.registry  # noqa: F401

    cfg = Config.fromfile(str(config))
    init_default_scope("mmpretrain")
    torch.manual_seed(0)
    network = MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})
    network.init_weights()
    files = sorted(tree.rglob("*.png"))
    some = [np.asarray(Image.open(path)) for path in files[:: max(1, len(files) // 32)]]
    images = torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).flip(1)
    inputs = network.data_preprocessor({"inputs": images}, training=False)["inputs"]
    tell_apart(network, lambda given: network.extract_feat(given)[0], network.head.fc, inputs)
    torch.save({"state_dict": network.state_dict(), "meta": {}}, checkpoint)


class Comparison:
    """Runs the two tools on a device each and compares what they write.

    Args:
        settings: Of the check.
        rows: Where the rows go.
    """

    def __init__(self, settings: Settings, rows: Rows) -> None:
        self.settings, self.rows = settings, rows
        folder = self.folder = settings.folder
        self.side, self.severities = settings.size(224, 32), [1, 3][: settings.size(2, 1)]
        images, _ = class_folders(settings.bundle, folder, settings.size(2000, 30))
        self.tree, self.checkpoint = folder / "corrupted", folder / "agreement.pth"
        write_tree(images, self.tree, settings.size(100, 10), self.side, self.severities)
        self.config = configs.write_config(
            folder / "agreement.py",
            configs.CLASSIFIER
            + (configs.TINY_CLASSIFIER if settings.quick else "")
            + configs.FIXED_SIZE,
            **dict(base="resnet18_gcp_lrnorm", images=images, side=self.side, iterations=1),
            **dict(batch=settings.size(64, 4), workers=settings.size(4, 0)),
        )
        write_weights(self.config, self.tree, self.checkpoint)

    def start(self, device: str) -> list[Job]:
        """Start both tools on a device."""
        common = (self.config, self.checkpoint)
        place = ("--device", "cuda:0" if device == "cuda" else "cpu")
        workers = self.settings.size(4, 0)
        return [
            start(
                self.settings,
                f"robustness_{device}",
                "tools/test_robustness.py",
                *(*common, "--dataset", "imagenet-c", "--data-root", self.tree),
                *("--corruptions", *CORRUPTIONS, "--severities", *self.severities),
                *("--input-size", self.side, "--workers", workers, "--batch-size", 50),
                *("--out", self.folder / f"robustness_{device}.json", *place),
            ),
            start(
                self.settings,
                f"landscape_{device}",
                *("tools/landscape.py", "probe", *common, "--etas", 0.1, 1, 5),
                *("--batch-size", self.settings.size(64, 4), *place),
                *("--out", self.folder / f"landscape_{device}.jsonl"),
            ),
        ]

    def robustness(self, other: str) -> None:
        """Compare how many images of each cell are classed right."""
        found, expected = (
            json.loads((self.folder / f"robustness_{name}.json").read_text())["cells"]
            for name in (other, "cpu")
        )
        apart = {
            cell: abs(row["correct"] - expected[cell]["correct"]) / row["total"]
            for cell, row in found.items()
        }
        cells = len(CORRUPTIONS) * len(self.severities)
        good = len(apart) == cells and max(apart.values()) <= MOST_DIFFERENT
        right = ", ".join(
            f"{cell} {row['correct']} ({expected[cell]['correct']}) of {row['total']}"
            for cell, row in found.items()
        )
        self.rows.check("right answers, GPU (CPU)", good, right, apart=apart)

    def landscape(self, other: str) -> None:
        """Compare the losses along the gradient, and how the gradient changes."""
        found, expected = (
            json.loads((self.folder / f"landscape_{name}.jsonl").read_text().splitlines()[1])
            for name in (other, "cpu")
        )
        for key in ("losses", "grad_diffs"):
            one, two = np.array(found[key], dtype=float), np.array(expected[key], dtype=float)
            apart = float(np.abs(one - two).max() / np.abs(two).max())
            good = bool(np.isfinite(two).all()) and apart <= MOST_APART
            text = f"{apart:.1e} of the largest, {np.abs(two).max():.4g}"
            self.rows.check(f"landscape, {key}", good, text, found=one.tolist())

    def run(self, end: float) -> None:
        """Run all at once, and compare what a tool has written on both devices."""
        devices = dict.fromkeys((self.settings.device, "cpu"))
        compare = (self.robustness, self.landscape)
        pairs = list(zip(*(self.start(device) for device in devices), strict=True))
        jobs, good = [job for pair in pairs for job in pair], set()
        try:
            for job, failure in as_they_end(jobs, end):
                if failure:
                    self.rows.add(job.name, FAIL, failure, log=last_lines(job.log))
                    continue
                good.add(job)
                for pair, of_tool in zip(pairs, compare, strict=True):
                    if job in pair and good.issuperset(pair):
                        self.rows.attempt(job.name, of_tool, self.settings.device)
        finally:
            for job in jobs:
                job.stop()


def run(settings: Settings, rows: Rows, end: float) -> None:
    """Measure and compare."""
    if can_run(rows, "robustness and landscape"):
        Comparison(settings, rows).run(end - 5)
