"""Evaluation as the reference does it: one file after the other, all scores ranked."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def scores(network: torch.nn.Module, rgb: np.ndarray) -> np.ndarray:
    """Return the scores of one image (H, W, 3), red first."""
    normalised = (rgb.astype(np.float32) - MEAN) / STD
    image = torch.from_numpy(normalised.transpose(2, 0, 1).astype(np.float32))
    with torch.no_grad():
        return network(image[None], mode="tensor")[0].numpy()


def count_right(network: torch.nn.Module, folder: Path, classes: list[str]) -> dict[str, int]:
    """Count right predictions in a folder of class folders."""
    right = total = 0
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir()):
            with Image.open(path) as image:
                found = scores(network, np.asarray(image.convert("RGB"))).argmax()
            right, total = right + int(found == label), total + 1
    return {"correct": right, "total": total}


def top5_of_clips(network: torch.nn.Module, folder: Path) -> list[np.ndarray]:
    """Rank the classes of each frame of each clip of a folder."""
    clips = []
    for path in sorted(folder.rglob("*.mp4")):
        video, frames = cv2.VideoCapture(str(path)), []
        while (read := video.read())[0]:
            frames.append(np.argsort(-scores(network, read[1][:, :, ::-1]), kind="stable")[:5])
        clips.append(np.array(frames))
    return clips
