"""Images to make trees from."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog")


def smooth(height, width, seed=0) -> np.ndarray:
    """A picture without hard edges that uses most of the range: RGB, uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (4, 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Return an image of the size that a crop of 48 is cut from."""
    return Image.fromarray(smooth(55, 70))


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Two classes with two images each, of several sizes, formats and modes."""
    root = tmp_path_factory.mktemp("photos")
    sizes = iter([(40, 60), (64, 48), (50, 50), (90, 80)])
    for name in CLASSES:
        (root / name).mkdir()
        for file in ("one.JPEG", "two.png"):
            image = Image.fromarray(smooth(*next(sizes), seed=len(name + file)))
            image.convert("L" if file == "two.png" else "RGB").save(root / name / file)
        (root / name / ".hidden.png").write_bytes(b"")
        (root / name / "notes.txt").write_text("no image")
    (root / ".git").mkdir()
    return root
