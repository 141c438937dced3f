"""Files of anybody are read as data, in bounded time and memory."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.reproduction.yaml_file import MOST_VALUES, read_yaml


def powers(form):
    """Nine lines, each of which repeats the one before nine times."""
    lines = zip("abcdefghi", "bcdefghij", strict=True)
    return "".join(f"{name}: &{name} {form % ', '.join([f'*{old}'] * 9)}\n" for old, name in lines)


REFUSED = {
    "syntax": ("a: [1, 2", "expected"),
    "tabs": ("a:\n\t- b", "cannot start any token"),
    "two documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "python object": ("a: !!python/object/apply:os.system ['touch marker']", "constructor"),
    "python new": ("a: !!python/object/new:os.system ['touch marker']", "constructor"),
    "python name": ("a: !!python/name:os.system", "constructor"),
    "python module": ("!!python/module:os", "constructor"),
    "bool of a text": ("a: !!bool maybe", "KeyError"),
    "int of a text": ("a: !!int maybe", "ValueError"),
    "float of a text": ("a: !!float maybe", "ValueError"),
    "date of a text": ("a: !!timestamp maybe", "cannot be read"),
    "date that is none": ("a: 2026-02-31", "day is out of range"),
    "list of a text": ("a: !!seq maybe", "expected a sequence"),
    "number of 5000 digits": (f"a: {'9' * 5000}", "digits"),
    "half a pair": (r'a: "\ud800"', "surrogates not allowed"),
    "list as a key": ("? [a, b]\n: 1", "unhashable key"),
    "key twice": ("a: 1\nb: 2\na: 3", "the key 'a' is there twice, again in line 3"),
    # Beyond the limit of 2000 too that torch's inductor leaves in a process.
    "deep": ("[" * 5000, "RecursionError"),
    "deep table": ("{a: " * 5000, "RecursionError"),
    "large": ("#" * 2**21, "larger than a MiB"),
    "bomb": ("a: &a [x]\n" + powers("[%s]"), f"more than {MOST_VALUES} values"),
    "bomb of merges": ("a: &a {x: 1}\n" + powers("{<<: [%s]}"), f"more than {MOST_VALUES}"),
    "endless list": ("&a [*a]", "contains itself, in line 1"),
    "endless table": ("a: x\nb: &a {b: *a}", "contains itself, in line 2"),
    "endless round": ("&a [&b [*a], *b]", "contains itself"),
    "unknown alias": ("a: *nothing", "undefined alias"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_one_line(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    text, told = REFUSED[kind]
    path = tmp_path / "file.yml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_yaml(path, "this file")
    line = str(error.value)
    assert line.startswith("this file cannot be read") and told in line
    assert len(line.splitlines()) == 1 and len(line) < 600
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [b"a: \xff\xfe", b"\x00\x01\x02", b"\x89PNG\r\n"])
def test_bytes_that_are_no_text(tmp_path, content):
    path = tmp_path / "file.yml"
    path.write_bytes(content)
    with pytest.raises(UserError, match="this file cannot be read"):
        read_yaml(path, "this file")


def test_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match="this file cannot be read: Is a directory"):
        read_yaml(tmp_path, "this file")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: [1, x, 1.5, true, null]", {"a": [1, "x", 1.5, True, None]}),
        ("a: &a {x: 1}\nb: *a", {"a": {"x": 1}, "b": {"x": 1}}),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
        ("a: {x: 1}\nb: {x: 1}", {"a": {"x": 1}, "b": {"x": 1}}),
        ("\ufeffa: \N{SNOWMAN}", {"a": "\N{SNOWMAN}"}),
    ],
)
def test_data_are_read(tmp_path, text, value):
    path = tmp_path / "file.yml"
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path, "this file") == value
