"""Rows chosen by what they are."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.zoo import load_rows
from gcp_mm.zoo.select import select_rows


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({}, 52),
        ({"task": "classification"}, 40),
        ({"task": "detection"}, 12),
        ({"backbone": "resnet50"}, 14),
        ({"pooling": "GCP"}, 22),
        ({"pooling": "gcpm", "backbone": None}, 4),
        ({"schedule": "lrfast"}, 12),
        ({"task": "classification", "backbone": "mobilenetv2", "schedule": "lrnorm"}, 3),
    ],
)
def test_number_of_rows(wanted, number):
    chosen = select_rows(load_rows(), **wanted)
    assert len(chosen) == number
    for name, value in wanted.items():
        assert value is None or {getattr(row, name) for row in chosen} == {value.lower()}


def test_unknown_value_lists_the_valid_ones():
    with pytest.raises(UserError, match="--schedule fast: expected .* lrnorm, lrfast, lradju, 1x$"):
        select_rows(load_rows(), schedule="fast")


def test_nothing_left_names_the_values():
    with pytest.raises(UserError, match="backbone resnet18, pooling gcpm"):
        select_rows(load_rows(), backbone="resnet18", pooling="gcpm")
