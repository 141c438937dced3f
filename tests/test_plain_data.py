"""Plain data compared with a form, and JSON files that are none."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.plain_data import (
    COUNT,
    NUMBER,
    POSITIVE,
    TEXT,
    ListOf,
    Maybe,
    TableOf,
    differences,
    read_json,
    why_unfit,
)

FORM = {"a": COUNT, "b?": ListOf({"c": TEXT}), "d?": TableOf(NUMBER, frozenset({"x", "y"}))}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": 0}, None),
        ({"a": 0, "b": [{"c": "t"}], "d": {"x": 1.5}, "further": []}, None),
        ([], "it is a list of 0, not an object"),
        ({"b": []}, "it lacks 'a'"),
        ({"a": True}, "a is True, not a whole number from 0"),
        ({"a": 2**63}, f"a is {2**63}, not a whole number from 0"),
        ({"a": 0, "b": {}}, "b is an object of 0, not a list"),
        ({"a": 0, "b": [{"c": "t"}, {"c": None}]}, "b/1/c is None, not a text"),
        ({"a": 0, "d": {"x": "1"}}, "d/x is '1', not a finite number"),
        ({"a": 0, "d": {"z": 1}}, "d has the unknown name 'z'"),
        ({"a": "t" * 80}, f"a is '{'t' * 56}..., not a whole number from 0"),
    ],
)
def test_first_entry_that_does_not_fit_is_named(value, why):
    assert why_unfit(value, FORM) == why


# As texts of Python, because pytest prints the values, and one has too many digits for that.
@pytest.mark.parametrize(
    "value", ["float('nan')", "float('inf')", "10**400", "10**5000", "True", "'1'", "None"]
)
def test_numbers_are_finite(value):
    assert why_unfit(eval(value), NUMBER).endswith("not a finite number")


def test_kinds():
    assert why_unfit(None, Maybe(POSITIVE)) is None and why_unfit(1, Maybe(POSITIVE)) is None
    assert why_unfit(0, Maybe(POSITIVE)) and why_unfit(0, POSITIVE) and not why_unfit(1, POSITIVE)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[NaN]", b"[-Infinity]", b"[1e400]", b"\xff", b'["\\ud800"]', b"[" * 10**5],
)
def test_what_is_no_json_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="^no JSON file"):
        read_json(path)


def test_byte_order_mark_and_pairs_of_escapes_are_text(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf["\\ud83d\\ude00"]')
    assert read_json(path) == ["\U0001f600"]


def test_equal_settings_do_not_differ():
    assert differences({"a": [1], "b": 2}, {"b": 2, "a": [1]}) == []


def test_each_difference_has_both_values():
    found = differences({"a": 1, "b": 2, "c": 3}, {"b": 4, "c": 3, "d": "x"})
    assert found == [
        "a is 1 there and None here",
        "b is 2 there and 4 here",
        "d is None there and 'x' here",
    ]
