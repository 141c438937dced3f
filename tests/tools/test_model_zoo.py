"""The command line of the model zoo."""

import pytest

from gcp_mm.zoo.tables import SECTIONS

TOOL = "tools/model_zoo.py"


def test_list_takes_all_filters(call_tool):
    code, out, _ = call_tool(
        *(TOOL, "list", "--task", "classification", "--backbone", "resnet101"),
        *("--pooling", "gcp", "--schedule", "lrfast"),
    )
    assert code == 0
    assert "resnet101_gcp_lrfast" in out and "76.38 / 92.82" in out and "1 rows." in out


def test_show(call_tool):
    code, out, _ = call_tool(TOOL, "show", "ResNet34_GCP_LRadju")
    assert code == 0
    assert out.startswith("resnet34_gcp_lradju\n") and "4w21" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["list", "--pooling", "max"],
            "error: --pooling max: expected one of gap, gcp, ",
        ),
        (["show", "resnet50"], "error: the model zoo has no row 'resnet50'"),
        (["download", "mask_rcnn_r101_gap"], "error: the authors released no file for mask_rcnn"),
        (["readme", "--path", "gone.md"], "error: 'gone.md' does not exist"),
    ],
)
def test_user_error_is_one_message(call_tool, arguments, message):
    code, _, err = call_tool(TOOL, *arguments)
    assert code == 2
    assert err.splitlines()[0].startswith(message) and "Traceback" not in err


def test_page_is_up_to_date(call_tool):
    assert call_tool(TOOL, "readme", "--check")[:2] == (
        *(0, "docs/model_zoo.md: the tables were up to date\n"),
    )


def test_page_is_written(call_tool, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("".join(f"<!-- zoo:{n} --><!-- /zoo:{n} -->\n" for n in SECTIONS))
    code, _, err = call_tool(TOOL, "readme", "--check", "--path", path)
    assert code == 2 and "imagenet, finegrained, coco" in err
    code, out, _ = call_tool(TOOL, "readme", "--path", path)
    assert (code, out) == (0, f"{path}: the tables were written\n")
    assert "mask_rcnn_r50_gcpm" in path.read_text()


def test_download_names_the_file_that_cannot_be_read(call_tool, tmp_path):
    page = tmp_path / "page.pth"
    page.write_text("<!DOCTYPE html>")
    code, _, err = call_tool(
        *(TOOL, "download", "resnet18_gcp_lrnorm"),
        *("--from-file", page, "--out", tmp_path / "out.pth"),
    )
    assert code == 2
    assert f"{page} (15 bytes) is a web page" in err
    assert not (tmp_path / "out.pth").exists()
