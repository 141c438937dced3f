"""The published robustness, compared with the project's record of the tables."""

import re

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS
from gcp_mm.robustness.report.published import MEANS, find_robustness, load_robustness
from gcp_mm.zoo.rows import find_row


def test_the_twelve_rows_are_those_of_the_published_table(shared):
    path = shared / "spec" / "method.md"
    if not path.is_file():
        pytest.skip(f"the record of the published tables is absent: {path}")
    section = path.read_text().partition("### 7.2")[2].partition("###")[0]
    table = {}
    for line in re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE)[1:]:
        name, *numbers = (cell.strip() for cell in line.split("|"))
        name = f"torchvision_{name[:-1]}" if name.endswith("+") else name
        table[name.lower()] = [float(number) for number in numbers]
    assert len(table) == 12
    assert {row.name: list(row.means.values()) for row in load_robustness()} == table
    assert [row.name for row in load_robustness()] == list(table)


def test_rows_are_rows_of_the_zoo_or_torchvision():
    for row in load_robustness():
        assert tuple(row.means) == MEANS
        if not row.name.startswith("torchvision_"):
            assert find_row(row.name).schedule == "lrnorm"


def test_corruption_errors_average_to_the_mce():
    rows = [row for row in load_robustness() if row.corruption_errors]
    assert len(rows) == 2
    for row in rows:
        assert tuple(row.corruption_errors) == BENCHMARK_CORRUPTIONS
        mean = sum(row.corruption_errors.values()) / len(BENCHMARK_CORRUPTIONS)
        # Digits after the point are cut off.
        assert mean == pytest.approx(row.means["mCE"], abs=0.5)


def test_rows_are_found_by_name():
    found = find_robustness(["ResNet50_GCP_LRnorm", "mobilenetv2_gap_lrnorm"])
    assert [row.name for row in found] == ["mobilenetv2_gap_lrnorm", "resnet50_gcp_lrnorm"]
    assert find_robustness(["all", "torchvision_resnet18"]) == list(load_robustness())
    assert find_robustness([]) == []
    with pytest.raises(UserError, match="'resnet50_gap_lrnorm'; the closest are resnet50_gcp_lrno"):
        find_robustness(["resnet50_gap_lrnorm"])
