"""The plain way to evaluate on ImageNet-C and ImageNet-P, which benchmarks/robustness.py times.

It does what the scripts that came with the data sets do (hendrycks/robustness, ``test.py`` of
ImageNet-C and ImageNet-P): a data loader for each cell, normalised float tensors from PIL images,
and for clips the rank of every class in every frame, kept until the cell is over. Their second
distance, over all ranks, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.stats import rankdata
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def count_right(
    network: torch.nn.Module, folder: Path, labels: Mapping[str, int], batch: int, workers: int
) -> dict[str, int]:
    """Count right predictions in a cell of ImageNet-C."""
    steps = [transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    images = ImageFolder(str(folder), transforms.Compose(steps))
    table = torch.tensor([labels[name] for name in images.classes])
    correct = 0
    with torch.no_grad():
        for inputs, target in DataLoader(images, batch_size=batch, num_workers=workers):
            correct += int((network(inputs).argmax(1) == table[target]).sum())
    return {"correct": correct, "total": len(images)}


class Clips(Dataset):
    """Clips as float tensors (frames, 3, H, W)."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.rglob("*.mp4"))
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Decode a clip frame by frame."""
        video = cv2.VideoCapture(str(self.paths[index]), cv2.CAP_FFMPEG)
        frames = []
        while (read := video.read())[0]:
            picture = Image.fromarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
            frames.append(self.transform(picture))
        return torch.stack(frames)


def measure_clips(
    network: torch.nn.Module, folder: Path, is_noise: bool, batch: int, workers: int
) -> dict[str, float]:
    """Measure flips and top-5 distances of a perturbation of ImageNet-P at difficulty 1."""
    predictions, ranks = [], []
    with torch.no_grad():
        for clips in DataLoader(Clips(folder), batch_size=batch, num_workers=workers):
            scores = network(clips.flatten(0, 1)).view(*clips.shape[:2], -1)
            for clip in scores:
                predictions.append(clip.argmax(1).numpy())
                frames = clip.numpy()
                ranks.append([np.uint16(rankdata(-frame, method="ordinal")) for frame in frames])
    ranks = np.asarray(ranks)
    flips = pairs = 0
    distances = []
    for classes, clip in zip(predictions, ranks, strict=True):
        changes, apart = _compare(classes, clip, is_noise)
        flips, pairs = flips + changes, pairs + len(apart)
        distances.append(np.mean(apart))
    return {"flips": flips, "pairs": pairs, "top5_distance": float(np.mean(distances))}


def _compare(classes: np.ndarray, ranks: np.ndarray, is_noise: bool) -> tuple[int, list[int]]:
    """Return flips and top-5 distances of a clip from the ranks (frames, classes) of all."""
    counted = np.minimum(np.arange(ranks.shape[1]), 5)
    before, order = classes[0], np.argsort(ranks[0])
    flips, distances = 0, []
    for found, rank in zip(classes[1:], ranks[1:], strict=True):
        flips += int(found != before)
        distances.append(int(np.abs(counted[:5] - counted[rank[order] - 1][:5]).sum()))
        if not is_noise:
            before, order = found, np.argsort(rank)
    return flips, distances
