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
    "capitals": (
        {*TABLE, "N7"} - {"n7"},
        False,
        ["1 not in the class table: N7", "some differ in capitals or blanks: 'n7' and 'N7'"],
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
    "b.JPEG\t3\t7": ["line 2", "more columns than an image and its class"],
    "b.JPEG 3 7": ["line 2", "more columns"],
    "b.JPEG, 3": ["line 2", "separated by ','"],
    "b.JPEG,3": ["line 2", "separated by ','"],
    "file;class": ["line 2", "separated by ';'"],
    '"b.JPEG" 3': ["line 2", "quotes"],
    'b.JPEG "3"': ["line 2", "quotes"],
    "b.JPEG 3.0": ["line 2", "'3.0'", "from 0 to 999"],
    "b.JPEG ３": ["line 2", "'３'"],
    "a.JPEG 1": ["line 2", "an earlier line gives 'a.JPEG' the class 0"],
    "490": ["line 2", "'490'", "ILSVRC2012_validation_ground_truth.txt", "'name index'"],
    "b.JPEG 1000": ["line 2", "'1000'", "from 0 to 999"],
    "b.JPEG cat": ["line 2", "'cat'", "from 0 to 999"],
    "b.JPEG -1": ["line 2", "'-1'", "from 0 to 999"],
    "n7/b.JPEG 3": ["line 2", "'n7/b.JPEG 3'", "has index 7, not 3"],
    "./n7/b.JPEG 3": ["line 2", "has index 7, not 3"],
    "n7\\b.JPEG 3": ["line 2", "has index 7, not 3"],
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
    lines = ["n7/a 1.JPEG 7", "other/b,c.JPEG 3"]
    assert read_ground_truth("", lines, TABLE) == [("n7/a 1.JPEG", 7), ("other/b,c.JPEG", 3)]


@pytest.mark.parametrize(("line", "parts"), BAD_LINES.items())
def test_other_lines_are_refused_by_number(line, parts):
    with pytest.raises(UserError) as error:
        read_ground_truth("val.txt", ["a.JPEG 0", line], TABLE)
    assert [part for part in ["'val.txt'", *parts] if part not in str(error.value)] == []


# Folders 1 to 10, sorted as text: '10' is class 1, and '2' class 2.
NUMBERS = {name: index for index, name in enumerate(sorted(map(str, range(1, 11))))}
SAME = {str(index): index for index in range(10)}


@pytest.mark.parametrize(
    ("table", "labels", "expected"),
    [
        (SAME, ["3", "9"], [3, 9]),
        # 0 is no class, so these are indices; 10 is no index, so these are names.
        (NUMBERS, ["0", "2", "9"], [0, 2, 9]),
        (NUMBERS, ["10", "2", "9"], [1, 2, 9]),
        (NUMBERS, ["2"], [2]),
    ],
)
def test_classes_called_by_numbers_are_what_fits_every_line(table, labels, expected):
    lines = [f"{place}.jpg {label}" for place, label in enumerate(labels)]
    assert [index for _, index in read_ground_truth("", lines, table)] == expected


def test_numbers_that_can_mean_two_classes_are_refused_by_line():
    table = {"b": 0, "2": 1, "1": 2}
    lines = ["x.jpg b", "y.jpg 2", "z.jpg 0"]
    with pytest.raises(UserError, match=r"line 2 .*'2' is the index of one class and the name"):
        read_ground_truth("list.txt", ["", "y.jpg 2"], table)
    assert read_ground_truth("", lines[1:2], table, labels="name") == [("y.jpg", 1)]
    assert read_ground_truth("", lines[1:], table, labels="index") == [("y.jpg", 2), ("z.jpg", 0)]
    with pytest.raises(UserError, match="list_labels='id'"):
        read_ground_truth("", lines, table, labels="id")


def test_without_a_table_labels_are_indices():
    assert read_ground_truth("", ["a.jpg 3", "b.jpg 0"], None) == [("a.jpg", 3), ("b.jpg", 0)]
    with pytest.raises(UserError, match=r"line 1 .*'cat'.*name the classes \(classes="):
        read_ground_truth("list.txt", ["a.jpg cat"], None)
