"""The digits data set against the arrays of scikit-learn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from demo import write_digits


@pytest.fixture(scope="module")
def source():
    return load_digits()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digits"
    write_digits(folder)
    return folder


def test_every_image_is_in_its_class_folder_once(root, source):
    rows = {int(path.stem): int(path.parent.name) for path in root.rglob("*.png")}
    assert len(list(root.rglob("*.png"))) == len(rows) == len(source.target)
    assert [rows[row] for row in range(len(rows))] == source.target.tolist()


def test_split_is_stratified_and_counted(root, source):
    counts = write_digits(root)
    for label, number in Counter(source.target.tolist()).items():
        val = len(list((root / "val" / str(label)).iterdir()))
        train = len(list((root / "train" / str(label)).iterdir()))
        assert train + val == number
        assert abs(val - 0.2 * number) <= 0.5
    assert counts == {split: len(list((root / split).rglob("*.png"))) for split in ("train", "val")}


def test_pixels_are_the_digits_of_scikit_learn(root, source):
    for path in sorted(root.rglob("*.png"))[::10]:
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGB", (48, 48))
            pixels = np.asarray(image)
            small = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.BOX))
        assert np.array_equal(pixels[..., 0], pixels[..., 1])
        assert np.array_equal(pixels[..., 0], pixels[..., 2])
        # Two digits of the source are near twins: only the test of the kernel tells those apart.
        digit = source.images[int(path.stem)]
        assert np.corrcoef(small.ravel(), digit.ravel())[0, 1] > 0.97


def test_enlargement_is_bicubic(root, source):
    # The cubic kernel of OpenCV (a = -0.75), written out and applied along both axes.
    def weight(t):
        t = np.abs(t)
        near = (1.25 * t - 2.25) * t * t + 1.0
        far = ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0
        return np.where(t <= 1.0, near, np.where(t < 2.0, far, 0.0))

    centers = (np.arange(48) + 0.5) * 8 / 48 - 0.5
    matrix = np.zeros((48, 8))
    for tap in range(-3, 11):
        matrix[:, min(max(tap, 0), 7)] += weight(centers - tap)
    for path in sorted(root.rglob("*.png"))[::10]:
        digit = source.images[int(path.stem)] * 255.0 / 16.0
        expected = np.clip(matrix @ digit @ matrix.T, 0, 255)
        found = np.asarray(Image.open(path))[..., 0]
        assert np.abs(found - expected).max() <= 1.0


@pytest.mark.slow
def test_equal_arguments_give_equal_bytes(hashes, root, tmp_path):
    write_digits(tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(root)


@pytest.mark.slow
def test_another_seed_gives_another_split(hashes, root, tmp_path):
    write_digits(tmp_path / "other", image_size=8, seed=1)
    assert hashes(tmp_path / "other").keys() != hashes(root).keys()


def test_finished_folder_is_not_rewritten(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_digits(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_other_arguments_are_refused_by_name(root):
    with pytest.raises(FileExistsError, match="image_size is 48 there and 32 here") as error:
        write_digits(root, image_size=32)
    assert str(root) in str(error.value)
    assert "Delete" in str(error.value)


@pytest.mark.parametrize("manifest", [None, "not json", "[]", json.dumps({"request": {}})])
def test_foreign_folder_is_refused_and_kept(hashes, tmp_path, manifest):
    (tmp_path / "notes.txt").write_text("mine")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    before = hashes(tmp_path)
    with pytest.raises(FileExistsError, match=r"no readable manifest\.json"):
        write_digits(tmp_path)
    assert hashes(tmp_path) == before


@pytest.mark.parametrize(
    "arguments", [{"image_size": 7}, {"val_fraction": 0.0}, {"val_fraction": 1.0}, {"seed": -1}]
)
def test_arguments_out_of_range_are_named(tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        write_digits(tmp_path / "digits", **arguments)
    assert not list(tmp_path.iterdir())
