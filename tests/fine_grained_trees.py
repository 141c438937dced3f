"""Small trees in the layouts of CUB-200-2011, FGVC-Aircraft and Stanford Cars."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Of nine images, every third is for the test. Labels count from one.
TEST = [index % 3 == 2 for index in range(9)]
LABELS = [1 + index % 4 for index in range(9)]
# Of mmpretrain's table, which is sorted otherwise than it is numbered.
VARIANTS = ["707-320", "727-200", "737-200", "737-300"]


def _image(path: Path, index: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_cub(root: Path) -> Path:
    """Write ``images/<class>/<name>`` and the three lists."""
    names = [f"{label:03}.Kind/{index}.jpg" for index, label in enumerate(LABELS)]
    for index, name in enumerate(names):
        _image(root / "images" / name, index)
    lists = {
        "images.txt": names,
        "image_class_labels.txt": LABELS,
        "train_test_split.txt": [int(not test) for test in TEST],
    }
    for file, values in lists.items():
        lines = (f"{index} {value}\n" for index, value in enumerate(values, 1))
        (root / file).write_text("".join(lines))
    return root


def write_aircraft(root: Path) -> Path:
    """Write ``data/images/<number>.jpg`` and a list for each split."""
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for index, (label, test) in enumerate(zip(LABELS, TEST, strict=True)):
        _image(root / f"data/images/{index:07}.jpg", index)
        split = "test" if test else "trainval"
        lines[split].append(f"{index:07} {VARIANTS[label - 1]}\n")
    for split, text in lines.items():
        (root / f"data/images_variant_{split}.txt").write_text("".join(text))
    return root


def write_cars(root: Path) -> Path:
    """Write ``car_ims/<number>.jpg`` and the annotations of both splits in one file."""
    import mat4py

    names = [f"car_ims/{index:06}.jpg" for index in range(len(LABELS))]
    for index, name in enumerate(names):
        _image(root / name, index)
    annotations = {"relative_im_path": names, "class": LABELS, "test": [int(test) for test in TEST]}
    mat4py.savemat(str(root / "cars_annos.mat"), {"annotations": annotations})
    return root


TREES = {"cub": write_cub, "aircraft": write_aircraft, "cars": write_cars}


@pytest.fixture(scope="session")
def fine_grained(tmp_path_factory) -> Callable[[str], Path]:
    """Return the root of a tree, which is written once and not changed."""
    written: dict[str, Path] = {}

    def root(data: str) -> Path:
        if data not in written:
            written[data] = TREES[data](tmp_path_factory.mktemp(data))
        return written[data]

    return root
