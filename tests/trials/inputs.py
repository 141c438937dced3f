"""What the trials are run on: drawn images, a small classifier and its weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

REPO = Path(__file__).resolve().parents[2]
# What the tests start from.
sys.path.insert(0, str(REPO / "tests"))

# The distances of ImageNet-P need five.
CLASSES = ("cross", "disk", "moon", "ring", "square", "star")
SIZE = 32
_CONFIG = """
_base_ = '{classifier}'

model = dict(head=dict(num_classes=6))
data_preprocessor = dict(num_classes=6)
"""


# Probes in every epoch, of which there are three of four iterations.
_PROBED = """
_base_ = '{config}'

custom_hooks = [dict(type='gcp_mm.LandscapeHook', interval=3, etas=[0.1, 0.3])]
"""


@dataclass(frozen=True)
class Inputs:
    """Files of the trials.

    Attributes:
        folder: Where everything lies.
        images: ``{train,val}/<class>/<image>.png``.
        config: Config of the classifier.
        probed: The same with a probe of the landscape every three iterations.
        checkpoint: Its random weights.
        repo: The checkout.
    """

    folder: Path
    images: Path
    config: Path
    probed: Path
    checkpoint: Path
    repo: Path = REPO

    def tree(self, dataset: str) -> Path:
        """Return a tree like ImageNet-C or ImageNet-P of three kinds, made when first asked for."""
        root = self.folder / dataset
        if not root.exists():
            _write_tree(root, dataset)
        return root


def make_inputs(folder: Path) -> Inputs:
    """Draw the images and write config and weights."""
    import torch
    from mmengine.config import Config
    from mmpretrain.registry import MODELS
    from random_weights import randomise
    from tiny_runs import CLASSIFIER, write_config

    import gcp_mm.registry  # noqa: F401  (its models)

    images, rng = folder / "images", np.random.default_rng(0)
    for split, number in (("train", 16), ("val", 7)):
        for index in range(number):
            path = images / split / CLASSES[index % 6] / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture(rng, 30 * (index % 6)))
    classifier = write_config(folder / "classifier.py", CLASSIFIER, repo=REPO, data=images)
    config = write_config(folder / "tiny_gcp.py", _CONFIG, classifier=classifier)
    network = randomise(MODELS.build(dict(Config.fromfile(config).model)))
    checkpoint = folder / "tiny_gcp.pth"
    torch.save({"meta": {"epoch": 1, "iter": 4}, "state_dict": network.state_dict()}, checkpoint)
    probed = write_config(folder / "probed_gcp.py", _PROBED, config=config)
    return Inputs(folder, images, config, probed, checkpoint)


def picture(rng: np.random.Generator, brightness: int = 80) -> np.ndarray:
    """Draw a smooth picture, uint8 (SIZE, SIZE, 3)."""
    corners = rng.integers(brightness, brightness + 96, (3, 3, 3), dtype=np.uint8)
    return cv2.resize(corners, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def _write_tree(root: Path, dataset: str) -> None:
    rng = np.random.default_rng(1)
    cells = (
        [f"{name}/{severity}" for name in ("fog", "snow") for severity in (1, 2)]
        if dataset == "imagenet-c"
        else ["shot_noise", "tilt", "zoom_blur"]
    )
    for cell in cells:
        for name in CLASSES:
            path = root / cell / name / ("0.JPEG" if dataset == "imagenet-c" else "0.mp4")
            path.parent.mkdir(parents=True)
            if dataset == "imagenet-c":
                cv2.imwrite(str(path.with_suffix(".jpg")), picture(rng))
                path.with_suffix(".jpg").rename(path)
                continue
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 1, (SIZE, SIZE))
            for _ in range(4):
                video.write(picture(rng))
            video.release()
