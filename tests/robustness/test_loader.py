"""What the loader hands over."""

import numpy as np
import pytest
from PIL import Image

from gcp_mm.datasets import ImageNetC, ImageNetP
from gcp_mm.datasets.video_clip import read_clip
from gcp_mm.engine.config import load_config
from gcp_mm.robustness.clean import clean_images
from gcp_mm.robustness.loader import CLEAN, CellBatches, CellFiles, Part, make_loader
from gcp_mm.robustness.options import Options

from .conftest import CLASSES, SIZE


def blue_first(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[:, :, ::-1]


def test_batches_hold_files_of_one_cell_in_order():
    parts = [Part("a", range(1, 10, 2), 2), Part("b", range(1), 2), Part("c", range(0), 2)]
    batches = CellBatches(parts)
    assert list(batches) == [
        [("a", 1), ("a", 3)],
        [("a", 5), ("a", 7)],
        [("a", 9)],
        [("b", 0)],
    ]
    assert len(batches) == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_as_they_were_decoded(tree_c, config, clean, tmp_path, workers):
    tree = ImageNetC(tree_c, ["fog"], [1], CLASSES, input_size=SIZE)
    options = Options("imagenet-c", tree_c, tmp_path / "out.json", "net", clean_root=clean)
    images, labels = clean_images(load_config(str(config)), options, tree.class_to_index)
    parts = [Part(CLEAN, range(0, 18, 5), 3), Part("fog/1", range(2), 3)]
    loader = make_loader(CellFiles(tree, images), parts, workers, clips=False, pin_memory=False)
    found = np.concatenate([batch.numpy() for batch in loader])
    paths = sorted(clean.glob("*/*.png"))[::5] + sorted(tree_c.glob("fog/1/*/*.JPEG"))[:2]
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.stack([blue_first(path) for path in paths]))
    assert labels.tolist() == sorted(list(range(6)) * 3)


def test_clips_are_joined(tree_p):
    tree = ImageNetP(tree_p, ["tilt"], classes=CLASSES, input_size=SIZE)
    loader = make_loader(CellFiles(tree), [Part("tilt", range(6), 4)], 0, True, False)
    (first, lengths), (_, others) = loader
    clips = [read_clip(path, SIZE) for path in sorted(tree_p.glob("tilt/*/*.mp4"))]
    assert lengths + others == [len(clip) for clip in clips] == [4, 5, 6, 4, 5, 6]
    assert np.array_equal(first.numpy(), np.concatenate(clips[:4]))


def test_sample_of_clean_images_is_spread_over_the_classes(config, clean, tmp_path):
    tree = {name: index for index, name in enumerate(CLASSES)}
    options = Options(
        "imagenet-c", tmp_path, tmp_path / "out.json", "net", clean_root=clean, num_samples=6
    )
    images, labels = clean_images(load_config(str(config)), options, tree)
    assert len(images) == 6 and labels.tolist() == [0, 1, 2, 3, 4, 5]
