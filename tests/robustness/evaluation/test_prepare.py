"""What makes the network's images and those of the tree different is said before the first one."""

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.clean import CleanImages
from gcp_mm.robustness.evaluation.options import Options
from gcp_mm.robustness.evaluation.prepare import _compare_pixels, _compare_reading


@pytest.fixture
def logged(caplog):
    """Return a function that returns what was logged."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING)
    yield lambda: [row.getMessage() for row in caplog.records]
    logger.removeHandler(caplog.handler)


@pytest.fixture
def compare(logged):
    """Return a function that compares, and returns what it logs."""

    def lines(load, reading, clean=None, states=True, sealed=True):
        cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[load]))))
        manifest = None
        if reading or not states:
            settings = dict(reading=reading) if reading else {}
            manifest = dict(settings=settings, states_reading=states)
        tree = SimpleNamespace(
            root="tree", num_samples=None, num_items=9, manifest=manifest, sealed=sealed
        )
        images = CleanImages(None, np.zeros(clean), "") if clean else None
        _compare_reading(cfg, tree, images)
        return logged()

    return lines


OURS, MMCV = "gcp_mm.LoadImage", "LoadImageFromFile"


@pytest.mark.parametrize(
    ("load", "made", "said"),
    [
        (dict(type=OURS), "applied", None),
        (dict(type=OURS, ignore_orientation=True), "ignored", None),
        (dict(type=MMCV, color_type="color_ignore_orientation"), "ignored", None),
        (dict(type=OURS, ignore_orientation=True), "applied", "with --ignore-orientation"),
        (dict(type=OURS), "ignored", "without --ignore-orientation"),
        (dict(type=MMCV), "ignored", "without --ignore-orientation"),
    ],
)
def test_orientation_of_tree_and_pipeline_is_compared(compare, load, made, said):
    lines = compare(load, {"with_orientation_tag": 3, "orientation": made})
    assert len(lines) == (said is not None)
    if said:
        assert said in lines[0] and "tags of 3 images" in lines[0]


def test_tree_of_an_earlier_version_is_said(compare):
    (line,) = compare(dict(type=OURS), None, states=False)
    assert "'tree' was made by an earlier version, which ignored orientation tags" in line


def test_tree_without_digests_is_said(compare):
    (line,) = compare(dict(type=OURS), {"sixteen_bits": 1}, sealed=False)
    assert "'tree' was made by an earlier version, without digests of its files" in line


def test_trees_without_tags_go_with_any_pipeline(compare):
    assert compare(dict(type=OURS, ignore_orientation=True), None) == []
    assert compare(dict(type=OURS), {"sixteen_bits": 1}) == []


def test_another_number_of_clean_images_is_said(compare):
    assert compare(dict(type=OURS), None, clean=9) == []
    (line,) = compare(dict(type=OURS), None, clean=3)
    assert line.startswith("3 images without corruption, and 9 in each cell")


def prepared_by(*steps, load=OURS, size=None, clean=None):
    """Compare what a test pipeline makes of an image with what a tree has."""
    pipeline = [dict(type=load), *steps, dict(type="PackInputs")]
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    options = Options("imagenet-c", Path("tree"), Path("o.json"), "net", input_size=size)
    images = [{"inputs": torch.zeros(3, clean, clean, dtype=torch.uint8)}] if clean else None
    _compare_pixels(cfg, options, images and CleanImages(images, np.zeros(1), ""))


MEAN = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
TO_PIL, FROM_PIL = dict(type="NumpyToPIL", to_rgb=True), dict(type="PILToNumpy", to_bgr=True)
TO_TENSOR = dict(type="torchvision/PILToTensor")


@pytest.mark.parametrize(
    "steps",
    [
        [dict(type="Normalize", **MEAN, to_rgb=False)],
        [dict(type="Normalize", mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True)],
        [TO_PIL],
        [TO_PIL, TO_TENSOR, dict(type="torchvision/ConvertImageDtype", dtype="float")],
        [dict(type="ColorTransform", magnitude=0.5, prob=1.0)],
    ],
)
def test_pipeline_that_changes_colours_is_refused(steps):
    with pytest.raises(UserError, match=r"turns the pixel \(40, 120, 200\).* into \("):
        prepared_by(*steps)


def test_pipeline_that_keeps_colours_and_makes_the_size_of_the_tree_is_silent(logged):
    edge, crop = dict(type="ResizeEdge", scale=40), dict(type="CenterCrop", crop_size=32)
    prepared_by(edge, crop, load=MMCV, size=32)
    resize = dict(type="torchvision/Resize", size=256)
    prepared_by(TO_PIL, resize, dict(type="torchvision/CenterCrop", size=224), FROM_PIL)
    # Images keep their size, and nothing says which that is.
    prepared_by(size=32)
    prepared_by(size=32, clean=32)
    prepared_by(load="gcp_mm.Absent")
    assert logged() == []


@pytest.mark.parametrize(
    ("scale", "clean", "found"),
    [
        ((16, 16), None, "16 x 16"),
        ((16, 16), 16, "16 x 16"),
        (None, 48, "48 x 48"),
        ((32, 16), None, "32 x 16"),
    ],
)
def test_another_size_than_that_of_the_tree_is_said(logged, scale, clean, found):
    prepared_by(*([dict(type="Resize", scale=scale)] if scale else []), size=32, clean=clean)
    (line,) = logged()
    assert f"test images are {found}, and those of 'tree' are used at 32 x 32" in line
    side = found.partition(" ")[0]
    assert line.endswith(f"--input-size {side} makes them alike") == (found != "32 x 16")
