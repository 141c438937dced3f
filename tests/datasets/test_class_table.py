import pytest

from gcp_mm.datasets.class_table import check_classes, read_ground_truth
from gcp_mm.errors import UserError

TABLE = {f"n{number}": number for number in range(1000)}
SOME = {"n5", "n7"}
REFUSED = {
    "all missing": (set(), False, ["'data/val' holds no class", "ann_file"]),
    "all missing, a part allowed": (set(), True, ["'data/val' holds no class", "ann_file"]),
    "a part": (
        SOME,
        False,
        [
            "'data/val': expected 1000 classes, found 2",
            "998 of 1000 missing: n0, n1, n10, n100 and 994 more",
            "allow_missing=True",
        ],
    ),
    "one too many": (
        {*TABLE, "cat"},
        False,
        ["expected 1000 classes, found 1001", "1 not in the class table: cat"],
    ),
    "one instead of another": (
        {*TABLE, "cat"} - {"n7"},
        False,
        ["expected 1000 classes, found 1000", "1 of 1000 missing: n7 (", "1 not in the class ta"],
    ),
    "unknown, a part allowed": ({*SOME, "cat", "d"}, True, ["2 not in the class table: cat, d ("]),
}
LINES = {
    "indices": ["a.JPEG 0", "b.JPEG 999"],
    "classes": ["a.JPEG n0", "b.JPEG n999"],
    "empty lines": ["", "a.JPEG 0", " ", "b.JPEG 999 "],
    "tabs": ["a.JPEG\t0", "b.JPEG\tn999"],
}
BAD_LINES = {
    "490": ["line 2", "'490'", "ILSVRC2012_validation_ground_truth.txt", "'name index'"],
    "b.JPEG 1000": ["line 2", "'1000'", "from 0 to 999"],
    "b.JPEG cat": ["line 2", "'cat'", "from 0 to 999"],
    "b.JPEG -1": ["line 2", "'-1'", "from 0 to 999"],
    "n7/b.JPEG 3": ["line 2", "'n7/b.JPEG 3'", "has index 7, not 3"],
}


@pytest.mark.parametrize(("found", "allow_missing"), [(set(TABLE), False), (SOME, True)])
def test_classes_of_the_table_are_accepted(found, allow_missing):
    check_classes("data/val", found, TABLE, allow_missing)


@pytest.mark.parametrize(("found", "allow_missing", "parts"), REFUSED.values(), ids=REFUSED)
def test_other_classes_are_refused_with_the_difference(found, allow_missing, parts):
    with pytest.raises(UserError) as error:
        check_classes("data/val", found, TABLE, allow_missing)
    assert [part for part in parts if part not in str(error.value)] == []


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_lines_give_names_and_indices(lines):
    assert read_ground_truth("val.txt", lines, TABLE) == [("a.JPEG", 0), ("b.JPEG", 999)]


def test_names_keep_folders_and_blanks():
    lines = ["n7/a 1.JPEG 7", "other/b.JPEG 3"]
    assert read_ground_truth("", lines, TABLE) == [("n7/a 1.JPEG", 7), ("other/b.JPEG", 3)]


@pytest.mark.parametrize(("line", "parts"), BAD_LINES.items())
def test_other_lines_are_refused_by_number(line, parts):
    with pytest.raises(UserError) as error:
        read_ground_truth("val.txt", ["a.JPEG 0", line], TABLE)
    assert [part for part in ["'val.txt'", *parts] if part not in str(error.value)] == []
