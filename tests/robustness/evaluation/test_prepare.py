"""What makes the network's images and those of the tree different is said before the first one."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from gcp_mm.robustness.evaluation.clean import CleanImages
from gcp_mm.robustness.evaluation.prepare import _compare_reading


@pytest.fixture
def compare(caplog):
    """Return a function that compares, and returns what it logs."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING)

    def lines(load, reading, clean=None, states=True, sealed=True):
        cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[load]))))
        manifest = None
        if reading or not states:
            manifest = dict(settings=dict(reading=reading), states_reading=states)
        tree = SimpleNamespace(
            root="tree", num_samples=None, num_items=9, manifest=manifest, sealed=sealed
        )
        images = CleanImages(None, np.zeros(clean), "") if clean else None
        _compare_reading(cfg, tree, images)
        return [row.getMessage() for row in caplog.records]

    yield lines
    logger.removeHandler(caplog.handler)


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
