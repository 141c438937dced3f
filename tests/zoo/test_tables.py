"""Rows as text and as Markdown.

One row in words.

The tables of the page of the zoo.
"""

import dataclasses

import pytest

from gcp_mm.errors import UserError
from gcp_mm.zoo import Measurement, find_row, load_rows
from gcp_mm.zoo.tables import (
    coco_section,
    describe,
    finegrained_section,
    imagenet_section,
    list_table,
    update_readme,
)

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
    lines, dropcov = lines[:14], lines[16:]
    assert len(dropcov) == 4
    assert dropcov[1] == [
        *("resnet34", "DropCov", "128", "29.61", "5.61", "0.00"),
        *(link("resnet34_dropcov_lrnorm_128", "76.81"), "76.13"),
    ]
    assert ["resnet50", "GCP", "256", "56.93", "6.34", "0.11"] in [line[:6] for line in lines]
    (narrow,) = (line for line in lines if line[:3] == ["mobilenetv2", "GCP", "128"])
    assert narrow[6:] == [
        link("mobilenetv2_gcp_lrnorm_128", "73.28 / 91.26"),
        "-",
        link("mobilenetv2_gcp_lradju_128", "72.58 / 90.87"),
    ]


def test_fine_grained_data_have_a_column_each():
    lines = table_lines(finegrained_section(load_rows()))
    assert lines[0] == ["backbone, GCP", "CUB-200-2011", "FGVC-Aircraft", "Stanford Cars"]
    assert lines[2] == ["resnet50", "88.0", "90.3", "92.3"]
    assert lines[3:] == [["resnet101", "88.7", "91.4", "93.3"]]


def test_a_network_without_a_row_for_a_set_has_a_dash_there():
    rows = [row for row in load_rows() if row.name != "resnet101_gcp_aircraft"]
    lines = table_lines(finegrained_section(rows))
    assert lines[3:] == [["resnet101", "88.7", "-", "93.3"]]


def test_a_row_of_fine_grained_data_is_trained_by_one_process():
    text = describe(find_row("resnet50_gcp_cub"))
    assert "train       python tools/train.py configs/finegrained/resnet50_gcp_cub.py\n" in text
    assert "Top 1 Accuracy 88.0" in text and "no file" in text


def test_a_file_in_one_place():
    text = describe(find_row("resnet50_dropcov_lrnorm_128"))
    assert "open?id=1235CUjS7va_h6weWQeAwFZ_J1iOqmaDm\n  sha256" in text


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


@pytest.mark.parametrize("section", [imagenet_section, coco_section, finegrained_section])
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


BEFORE = "Head.\n\n<!-- zoo:imagenet -->\nold\n<!-- /zoo:imagenet -->\n\nBetween.\n\n"
BEFORE += "<!-- zoo:finegrained --><!-- /zoo:finegrained -->\n\n"
AFTER = "<!-- zoo:coco --><!-- /zoo:coco -->\n\nTail.\n"


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(BEFORE + AFTER)
    return path


def test_page_of_the_project_is_up_to_date(repo):
    assert update_readme(repo / "docs/model_zoo.md", check=True) is False


def test_every_row_has_a_line_in_the_table_of_all(readme):
    readme.write_text(readme.read_text() + "<!-- zoo:rows --><!-- /zoo:rows -->\n")
    update_readme(readme)
    lines = table_lines(readme.read_text().partition("<!-- zoo:rows -->")[2])
    by_name = {line[0].strip("`"): line for line in lines[2:]}
    assert list(by_name) == [row.name for row in load_rows()]
    shown = by_name["resnet50_gcp_lrnorm"]
    assert shown[1:7] == ["ImageNet-1k", "resnet50", "gcp", "256", "lrnorm", "100"]
    assert shown[9:] == ["78.56 / 94.09", "-", link("resnet50_gcp_lrnorm", "file")]
    assert by_name["mask_rcnn_r101_gap"][9:] == ["39.4 / 35.9", "-", "-"]


def test_only_the_tables_are_written(readme):
    assert update_readme(readme) is True
    text = readme.read_text()
    assert "78.56 / 94.09" in text and "faster_rcnn_r50_gcpm" in text
    assert text.startswith("Head.\n\n<!-- zoo:imagenet -->\n\n") and text.endswith("\n\nTail.\n")
    assert "<!-- /zoo:imagenet -->\n\nBetween.\n\n<!-- zoo:finegrained -->" in text
    assert "old" not in text
    assert [path.name for path in readme.parent.iterdir()] == ["README.md"]
    assert update_readme(readme) is False
    assert update_readme(readme, check=True) is False


def test_check_names_the_stale_table_and_writes_nothing(readme):
    update_readme(readme)
    text = readme.read_text().replace("| 59.1 ", "| 59.2 ")
    readme.write_text(text)
    with pytest.raises(UserError, match=f"{readme}: the tables coco are not .*model_zoo.py readme"):
        update_readme(readme, check=True)
    assert readme.read_text() == text


@pytest.mark.parametrize(
    "text", [BEFORE, BEFORE + AFTER + AFTER, BEFORE + AFTER.replace("/zoo", "zoo")]
)
def test_sections_have_to_be_there_once(readme, text):
    readme.write_text(text)
    with pytest.raises(UserError, match="one section between <!-- zoo:coco -->"):
        update_readme(readme)
    assert readme.read_text() == text


def test_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.md' does not exist"):
        update_readme(tmp_path / "gone.md")
