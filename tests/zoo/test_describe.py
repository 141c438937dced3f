"""One row in words."""

import dataclasses

import pytest

from gcp_mm.zoo import find_row
from gcp_mm.zoo.tables import describe

from .test_tables import MEASURED


def test_classifier():
    text = describe(find_row("resnet50_gcp_lradju_128"))
    for part in (
        "resnet50, gcp, 128 channels",
        "lradju, 50 epochs",
        "32,027,432 parameters, 6.27 G multiply-adds, and 0.02 G in the covariance layer",
        "Top 1 Accuracy 77.72, Top 5 Accuracy 93.73",
        "not by this project",
        "https://drive.google.com/open?id=1t6r70Vx4J7ev6Lhm0SAalptyF3gQ_5Qk",
        "https://pan.baidu.com/s/1GxiLO3RTBZoV-3IfIZnupQ (extraction code xf7g)",
        "tools/dist_train.sh configs/imagenet/resnet50_gcp_lradju_128.py 8",
        "tools/test.py configs/imagenet/resnet50_gcp_lradju_128.py "
        "checkpoints/resnet50_gcp_lradju_128.pth",
        "tools/model_zoo.py download resnet50_gcp_lradju_128",
    ):
        assert part in text


def test_detector_without_a_file():
    text = describe(find_row("mask_rcnn_r101_gap"))
    assert "Mask R-CNN, resnet101, gap\n" in text
    assert "mask APL 53.6" in text
    assert "no file" in text and "download" not in text


@pytest.mark.parametrize("part", ["Top 1 Accuracy 78.4", MEASURED.command, "abc1234"])
def test_our_numbers(part):
    row = dataclasses.replace(find_row("resnet50_gcp_lrnorm"), measured=(MEASURED,))
    assert part in describe(row) and "not by this project" not in describe(row)
