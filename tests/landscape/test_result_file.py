import json

import pytest

from gcp_mm.errors import UserError
from gcp_mm.landscape.records import ResultFile, read_results

SETTINGS = {"checkpoint": "abc", "range": (-1.0, 1.0), "seed": 0}


def test_saved_results_are_continued(tmp_path):
    path = tmp_path / "new/surface.json"
    first = ResultFile(path, "surface", SETTINGS)
    assert first.results == {}
    first.results["losses"] = [[0.1, None]]
    first.save()
    assert ResultFile(path, "surface", SETTINGS).results == {"losses": [[0.1, None]]}
    settings, results = read_results(path, "surface")
    assert settings == {**SETTINGS, "range": [-1.0, 1.0]} and results["losses"] == [[0.1, None]]
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
    ResultFile(path, "surface", SETTINGS).save()
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"surface\.json' is from another measurement") as caught:
        ResultFile(path, "surface", {**SETTINGS, **change})
    assert all(phrase in str(caught.value) for phrase in phrases)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not a result file of `surface`"),
        ("[1]", "not a result file of `surface`"),
        ('{"kind": "surface", "settings": {}}', "KeyError: 'results'"),
        ('{"kind": "curvature"}', "holds a 'curvature', expected a 'surface'"),
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
        *(("surface", "loss", value, "loss has to be") for value in (None, "x", [1.0])),
        *(("surface", "alphas", value, "alphas has to be") for value in (None, [], "x", ["1"])),
        *(("surface", "betas", value, "a column of betas") for value in ([0.0, 1.0],)),
        *(("surface", "losses", value, "rows of numbers") for value in (None, [], [1, 2])),
        ("surface", "losses", [[1]], "a row for each"),
        ("surface", "losses", [[1.0], ["x"]], "losses have to be numbers"),
        *(("curvature", "trace", value, "trace has to be") for value in (None, "1", {})),
        *(("curvature", "density", value, "density has to be") for value in (None, 1.0, [[1]])),
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
