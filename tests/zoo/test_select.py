"""Rows chosen by what they are."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.zoo import load_rows
from gcp_mm.zoo.rows import select_rows


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"task": "classification"},
        {"task": "detection"},
        {"backbone": "resnet50"},
        {"pooling": "GCP"},
        {"pooling": "gcpm", "backbone": None},
        {"schedule": "lrfast"},
        {"task": "classification", "backbone": "mobilenetv2", "schedule": "lrnorm"},
    ],
)
def test_rows_are_those_with_the_values_and_no_others(wanted):
    chosen = select_rows(load_rows(), **wanted)
    values = {name: value.lower() for name, value in wanted.items() if value}
    expected = [
        row
        for row in load_rows()
        if {name: getattr(row, name) for name in values}.items() == values.items()
    ]
    assert list(chosen) == expected and expected


def test_unknown_value_lists_the_valid_ones():
    with pytest.raises(UserError, match="--schedule fast: expected .* lrnorm, lrfast, lradju, 1x$"):
        select_rows(load_rows(), schedule="fast")


def test_nothing_left_names_the_values():
    with pytest.raises(UserError, match="backbone resnet18, pooling gcpm"):
        select_rows(load_rows(), backbone="resnet18", pooling="gcpm")
