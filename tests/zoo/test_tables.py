"""Rows as text and as Markdown."""

import dataclasses

import pytest

from gcp_mm.zoo import Measurement, find_row, load_rows
from gcp_mm.zoo.tables import coco_section, imagenet_section, list_table

MEASURED = Measurement(
    metrics={"Top 1 Accuracy": 78.4, "Top 5 Accuracy": 94.0},
    command="python tools/test.py X",
    commit="abc1234",
    date="2024-01-31",
    machine="8 GPUs",
)


def table_lines(text):
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if "|" in line
    ]


def link(name, text):
    return f"[{text}](https://drive.google.com/open?id={find_row(name).release.google_drive})"


def test_imagenet_has_a_line_for_each_network():
    lines = table_lines(imagenet_section(load_rows()))[2:]
    assert len(lines) == 14
    assert ["resnet50", "GCP", "256", "56.93", "6.34", "0.11"] in [line[:6] for line in lines]
    (narrow,) = (line for line in lines if line[:3] == ["mobilenetv2", "GCP", "128"])
    assert narrow[6:] == [
        link("mobilenetv2_gcp_lrnorm_128", "73.28 / 91.26"),
        "-",
        link("mobilenetv2_gcp_lradju_128", "72.58 / 90.87"),
    ]


def test_zeros_at_the_end_stay():
    assert link("resnet18_gap_lradju", "69.62 / 89.00") in imagenet_section(load_rows())


def test_coco_has_box_and_mask_ap():
    lines = table_lines(coco_section(load_rows()))
    boxes, masks = lines[2:14], lines[16:]
    assert len(masks) == 6
    assert boxes[2][0] == "faster_rcnn_r50_gcpm"
    assert boxes[2][4:] == ["59.1", "39.9", "22.0", "40.9", "47.6"]
    # There is no file to link to.
    assert ["mask_rcnn_r101_gap", "39.4"] in [[line[0], line[3]] for line in boxes]
    assert ["mask_rcnn_r101_gap", "35.9"] in [line[:2] for line in masks]


@pytest.mark.parametrize("section", [imagenet_section, coco_section])
def test_published_numbers_are_not_taken_for_ours(section):
    text = section(load_rows())
    assert "ublished by the authors**" in text
    assert "**Measured here: none of these rows.**" in text


def test_our_numbers_stand_beside_the_published_ones():
    rows = [dataclasses.replace(find_row("resnet50_gcp_lrnorm"), measured=(MEASURED,))]
    assert table_lines(imagenet_section(rows))[-1] == [
        *("resnet50_gcp_lrnorm", "78.56 / 94.09", "78.40 / 94.00"),
        *("`python tools/test.py X`", "abc1234, 2024-01-31, 8 GPUs"),
    ]
    assert "none of these" not in imagenet_section(rows)
    assert "78.56 / 94.09  78.40 / 94.00    yes" in list_table(rows)


def test_list_is_aligned_and_says_what_its_columns_are():
    head, rule, *lines, legend, _ = list_table(load_rows()).splitlines()
    assert len(lines) == len(load_rows())
    assert legend.startswith(f"{len(lines)} rows.")
    start = head.index("published")
    assert rule[start - 1] == " " and {line[start - 1] for line in lines} == {" "}
    assert lines[0][start:].startswith("70.47 / 89.59")
