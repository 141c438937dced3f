"""Files of records are continued, never overwritten."""

import json

import pytest
from mmengine.config import Config

from gcp_mm.errors import UserError
from gcp_mm.landscape.records import (
    VERSION,
    RecordFile,
    ResultFile,
    make_header,
    read_records,
    read_results,
)

SETTINGS = {"at": "conv1", "etas": [0.1, 75.0], "batch_norm": "batch"}


def header(depth=18, **settings):
    cfg = Config(dict(model=dict(depth=depth), work_dir="work_dirs/some_run"))
    return make_header(cfg, SETTINGS | settings)


@pytest.fixture
def path(tmp_path):
    file = RecordFile(tmp_path / "run" / "landscape.jsonl", header())
    for step in (0, 500, 1000):
        file.append({"step": step, "losses": [float(step)]})
    return file.path


def test_header_and_records_come_back(path):
    found, records = read_records(path)
    assert found == header() and found["run"] == "some_run"
    assert [r["step"] for r in records] == [0, 500, 1000]
    assert {r["kind"] for r in records} == {"probe"}


def test_fingerprint_belongs_to_the_settings_and_not_to_the_network():
    assert header()["fingerprint"] == header(depth=50)["fingerprint"]
    assert header()["fingerprint"] != header(at="conv2")["fingerprint"]
    assert header()["model"] != header(depth=50)["model"]


def test_file_is_continued_from_an_iteration(path):
    file = RecordFile(path, header())
    file.keep_before(1000)
    file.append({"step": 1000, "losses": [7.0]})
    records = read_records(path)[1]
    assert [r["step"] for r in records] == [0, 500, 1000] and records[-1]["losses"] == [7.0]


def test_incomplete_last_line_is_left_out_and_then_replaced(path):
    path.write_text(path.read_text() + '{"kind": "pro')
    assert len(read_records(path)[1]) == 3
    file = RecordFile(path, header())
    file.append({"step": 1500})
    assert [r["step"] for r in read_records(path)[1]] == [0, 500, 1000, 1500]


def test_old_records_are_set_aside_under_a_free_name(path):
    before = path.read_text()
    for number in (1, 2):
        file = RecordFile(path, header())
        assert file.set_aside() == path.with_name(f"landscape.jsonl.{number}")
        assert read_records(path)[1] == []
        path.write_text(before)
    assert path.with_name("landscape.jsonl.1").read_text() == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (dict(at="conv2"), "at is 'conv1' there and 'conv2' here"),
        (dict(etas=[1.0]), "etas is [0.1, 75.0] there and [1.0] here"),
        (dict(depth=50), "the model is another one"),
    ],
)
def test_file_of_another_run_is_kept_and_the_setting_named(path, other, named):
    before = path.read_bytes()
    with pytest.raises(UserError) as caught:
        RecordFile(path, header(**other))
    assert named in str(caught.value) and str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_file_without_records_may_change_its_settings(tmp_path):
    path = tmp_path / "landscape.jsonl"
    for settings in (header(), header(at="conv2")):
        RecordFile(path, settings)
    assert read_records(path)[0] == header(at="conv2")


CONTENTS = {
    "another file": ("# notes\n", "line 1: no landscape record"),
    "a damaged line": (json.dumps(header()) + "\n{\n", "line 2: no landscape record"),
    "a list": ("[1]\n", "line 1: no landscape record"),
    "nothing": ("", "holds no landscape records"),
    "another version": ('{"kind": "header", "version": 9}\n', "has version 9"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_file_that_is_none_is_named(tmp_path, content):
    text, words = CONTENTS[content]
    path = tmp_path / "landscape.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_records(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.jsonl' cannot be read"):
        read_records(tmp_path / "nothing.jsonl")


def test_number_that_json_lacks_is_not_written(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        RecordFile(path, header()).append({"step": 9, "loss": float("nan")})
    assert path.read_bytes() == before


def test_file_that_is_no_text(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\x80\x04\x95\xea")
    with pytest.raises(UserError, match=r"x\.jsonl' cannot be read: 'utf-8' codec"):
        read_records(tmp_path / "x.jsonl")


GOOD = {
    "header": {"kind": "header", "version": VERSION, "run": "r", "settings": {}},
    "probe": {"kind": "probe", "step": 0, "losses": [1.0, None], "grad_diffs": [0.5, 1.0]},
}
ODD = [
    *(("header", "run", value) for value in (None, 3, ["r"])),
    *(("header", "settings", value) for value in (None, [], "s")),
    *(("probe", "step", value) for value in (None, "0", 1.5, True, [])),
    *(("probe", "batch", value) for value in (None, [], "0")),
    *(("probe", key, value) for key in ("lr", "loss") for value in ("x", [], {}, True, 10**400)),
    *(("probe", key, value) for key in ("losses", "beta") for value in ([], "x", 1.0, [[1.0]])),
]


@pytest.mark.parametrize(("line", "key", "value"), ODD)
def test_line_of_another_form_is_named(tmp_path, line, key, value):
    path = tmp_path / "records.jsonl"

    def write(records):
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records.values()))

    write(GOOD)
    assert len(read_records(path)[1]) == 1
    write({**GOOD, line: {**GOOD[line], key: value}})
    number = 1 if line == "header" else 2
    with pytest.raises(UserError, match=f"records.jsonl', line {number}: no landscape record"):
        read_records(path)


def test_deep_nesting_is_no_record(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(UserError, match="line 1: no landscape record"):
        read_records(path)


RESULT_FILE_SETTINGS = {"checkpoint": "abc", "range": (-1.0, 1.0), "seed": 0}


def test_saved_results_are_continued(tmp_path):
    path = tmp_path / "new/surface.json"
    first = ResultFile(path, "surface", RESULT_FILE_SETTINGS)
    assert first.results == {}
    first.results["losses"] = [[0.1, None]]
    first.save()
    assert ResultFile(path, "surface", RESULT_FILE_SETTINGS).results == {"losses": [[0.1, None]]}
    settings, results = read_results(path, "surface")
    assert settings == {**RESULT_FILE_SETTINGS, "range": [-1.0, 1.0]} and results["losses"] == [
        [0.1, None]
    ]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "change, phrases",
    [
        ({"checkpoint": "def"}, ["checkpoint is 'abc' there and 'def' here"]),
        ({"range": (-2.0, 1.0)}, ["range is [-1.0, 1.0] there and [-2.0, 1.0] here"]),
        ({"seed": 1, "new": True}, ["seed is 0 there and 1 here", "new is None there"]),
    ],
)
def test_file_of_other_settings_is_refused_and_kept(tmp_path, change, phrases):
    path = tmp_path / "surface.json"
    ResultFile(path, "surface", RESULT_FILE_SETTINGS).save()
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"surface\.json' is from another measurement") as caught:
        ResultFile(path, "surface", {**RESULT_FILE_SETTINGS, **change})
    assert all(phrase in str(caught.value) for phrase in phrases)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not a result file of `surface`"),
        ("[1]", "not a result file of `surface`"),
        ('{"kind": "surface", "settings": {}}', "lacks 'results'"),
        ('{"kind": "curvature", "settings": {}, "results": {}}', "kind is 'curvature', not 'sur"),
        (None, "does not exist"),
    ],
)
def test_file_that_holds_something_else_is_named(tmp_path, content, message):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=rf"other\.json.*{message}"):
        read_results(path, "surface")


def test_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/surface\.json.*cannot be written"):
        ResultFile(tmp_path / "file" / "surface.json", "surface", {}).save()


def test_numbers_that_json_has_not_are_refused(tmp_path):
    file = ResultFile(tmp_path / "surface.json", "surface", {})
    file.results["loss"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        file.save()


SURFACE = {"loss": 1.0, "alphas": [-1.0, 1.0], "betas": [0.0], "losses": [["inf"], [None]]}
CURVATURE = {"trace": 1.0, "eigenvalues": [1.0], "grid": [0.0, 1.0], "density": [1, 1.0]}


@pytest.mark.parametrize(
    ("kind", "key", "value", "named"),
    [
        *(("surface", "loss", value, "results/loss is ") for value in (None, "x", [1.0])),
        *(("surface", "alphas", value, "alphas is .*of n") for value in (None, [], "x", ["1"])),
        *(("surface", "betas", value, "a column for each of betas") for value in ([0.0, 1.0],)),
        *(("surface", "losses", value, "losses is .* list") for value in (None, "x")),
        ("surface", "losses", [1, 2], "results/losses/0 is 1, not a list"),
        *(("surface", "losses", value, "a row for each of alphas") for value in ([], [[1]])),
        ("surface", "losses", [[1.0], ["x"]], "results/losses/1/0 is 'x', not a loss"),
        *(("curvature", "trace", value, "results/trace is ") for value in (None, "1", {})),
        *(("curvature", "density", value, "density is ") for value in (None, 1.0, [[1]])),
        ("curvature", "grid", [1.0], "of one length"),
    ],
)
def test_results_of_another_form_are_named(tmp_path, kind, key, value, named):
    path, results = tmp_path / "a.json", {"surface": SURFACE, "curvature": CURVATURE}[kind]

    def write(results):
        path.write_text(json.dumps({"kind": kind, "settings": {}, "results": results}))

    write(results)
    assert read_results(path, kind) == ({}, results)
    write({**results, key: value})
    with pytest.raises(UserError, match=f"a.json' is not a result file of `{kind}` .*{named}"):
        read_results(path, kind)
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="is not a result file"):
        read_results(path, kind)
