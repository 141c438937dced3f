"""Lists as editors and spreadsheets write them."""

import codecs

import pytest

from gcp_mm.datasets.text_list import check_class_names, read_class_names, read_lines
from gcp_mm.errors import UserError

NAMES = ["0", "10", "French horn", "čaj"]
TEXT = "\n".join(NAMES)
WRITTEN = {
    "utf-8": f"{TEXT}\n".encode(),
    "no end": TEXT.encode(),
    "byte order mark": codecs.BOM_UTF8 + TEXT.encode(),
    "windows": codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
    "old mac": TEXT.replace("\n", "\r").encode(),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16, big": codecs.BOM_UTF16_BE + TEXT.replace("\n", "\r\n").encode("utf-16-be"),
    "utf-32": TEXT.encode("utf-32"),
    "blanks": "".join(f" {name}\t\n" for name in NAMES).encode() + b"\n \n",
}


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        path = tmp_path / "classes.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return to_file


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_names_are_what_was_written(write, content):
    assert read_class_names(write(content)) == NAMES


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("cat\n\ndog\n", ["line 2", "is empty"]),
        ("0\tcat\n1\tdog\n", ["line 1 ('0\\tcat')", "2 columns"]),
        ("cat\ndog\ncat\n", ["line 3 ('cat')", "the class of line 1 again"]),
        ('cat\n"dog"\n', ["line 2", "in quotes"]),
        (b"cat\n\xe9t\xe9\n", ["line 2", "no UTF-8 text"]),
        ("cat\ndog".encode("utf-16-le"), ["line 1", "Save the list as UTF-8"]),
        ("", ["holds no class name"]),
        (None, ["cannot be read"]),
    ],
    ids=["gap", "columns", "twice", "quotes", "latin-1", "utf-16 unmarked", "empty", "missing"],
)
def test_what_says_something_else_is_refused_by_line(write, tmp_path, content, parts):
    path = str(tmp_path / "absent.txt") if content is None else write(content)
    with pytest.raises(UserError) as error:
        read_class_names(path)
    assert [part for part in [path, *parts] if part not in str(error.value)] == []


def test_lines_keep_their_numbers(write):
    assert read_lines(write("a\r\n\r\nb")) == ["a", "", "b"]


def test_names_of_a_config_may_be_numbers():
    assert check_class_names([0, 10, "cat"], "classes") == ["0", "10", "cat"]
