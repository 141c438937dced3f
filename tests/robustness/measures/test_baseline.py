"""The shipped baselines and those of a user."""

import json

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures import corruption_error, load_baseline
from gcp_mm.robustness.measures.baseline import FORMAT, VERSION
from gcp_mm.robustness.names import ALL_CORRUPTIONS, BENCHMARK_CORRUPTIONS, PERTURBATIONS

HEAD = {"format": FORMAT, "version": VERSION, "name": "mine"}
ROWS = {name: [0.1, 0.2, 0.3, 0.4, 0.5] for name in BENCHMARK_CORRUPTIONS}
FLIPS = dict.fromkeys(PERTURBATIONS, 0.1)


def test_alexnet_on_c_as_published(published):
    table, found = published("alexnet"), load_baseline("alexnet", "imagenet-c")
    assert {name: list(row) for name, row in found.error.items()} == table["error_by_severity"]
    assert tuple(found.error) == ALL_CORRUPTIONS
    assert found.clean_error == table["clean_error"]


def test_alexnet_on_p_as_published(published):
    found = load_baseline("alexnet", "imagenet-p")
    assert found.flip_probability == published("alexnet_flip")["flip_probability"]
    # Never published, and not to be guessed.
    assert found.top5_distance is None


@pytest.mark.parametrize("dataset", ["imagenet-c", "imagenet-p"])
def test_shipped_baseline_states_its_sources(dataset):
    assert all("://" in text or ":" in text for text in load_baseline("alexnet", dataset).source)


def test_file_is_read(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**HEAD, "dataset": "imagenet-c", "error": ROWS}))
    found = load_baseline(path, "imagenet-c")
    assert (found.name, found.error["fog"], found.clean_error) == ("mine", tuple(ROWS["fog"]), None)
    assert load_baseline(found, "imagenet-c") is found


def test_mark_at_the_start_of_a_file_is_no_part_of_it(tmp_path):
    """Some editors write one."""
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps({**HEAD, "dataset": "imagenet-c", "error": ROWS}), encoding="utf-8-sig"
    )
    assert load_baseline(path, "imagenet-c").name == "mine"


def test_single_cells_without_an_error_do_not_divide(tmp_path):
    rows = {**ROWS, "brightness": [0, 0.0, 0.1, 0.2, 0.3]}
    content = {**HEAD, "dataset": "imagenet-c", "error": rows, "clean_error": 0, "source": "here"}
    (tmp_path / "mine.json").write_text(json.dumps(content))
    found = load_baseline(tmp_path / "mine.json", "imagenet-c")
    assert found.error["brightness"] == (0, 0, 0.1, 0.2, 0.3) and found.clean_error == 0
    assert found.source == ("here",)
    errors = corruption_error({"brightness": 0.24}, baseline=found)
    assert errors["CE"]["brightness"] == pytest.approx(200)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "is no baseline"),
        ("[]", "is no baseline"),
        ({**HEAD, "version": 2, "dataset": "imagenet-c"}, "is no baseline"),
        ({**HEAD, "dataset": "imagenet-p", "flip_probability": FLIPS}, "'imagenet-p', not"),
        ({**HEAD, "dataset": "imagenet-c", "error": {}}, "error lacks 'gaussian_noise'"),
        ({**HEAD, "dataset": "imagenet-c", "error": {**ROWS, "fog": [0.1]}}, "error/fog is a list"),
        ({**HEAD, "dataset": "imagenet-c", "error": {**ROWS, "fog": [0] * 5}}, "error/fog is"),
        ({**HEAD, "dataset": "imagenet-c", "error": {**ROWS, "fog": [-0.1] * 5}}, "error/fog is"),
        ({**HEAD, "dataset": "imagenet-c", "error": {**ROWS, "spatter": []}}, "error/spatter is"),
        ({**HEAD, "dataset": "imagenet-c", "error": ROWS, "clean_error": 43}, "clean_error is 43"),
        ({**HEAD, "dataset": "imagenet-c", "error": ROWS, "data": 1}, "data is 1, not an object"),
        ({**HEAD, "dataset": "imagenet-c", "error": ROWS, "source": {"a": 1}}, "source is an obj"),
        ({**HEAD, "dataset": "imagenet-c", "error": ROWS, "name": "\ud800"}, "is no baseline"),
        ("[" * 100_000, r"is no baseline \(no JSON file .RecursionError"),
    ],
)
def test_wrong_file_is_refused(tmp_path, content, named):
    path = tmp_path / "wrong.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=named) as error:
        load_baseline(path, "imagenet-c")
    assert "wrong.json" in str(error.value)


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"flip_probability": {**FLIPS, "tilt": 0}}, "flip_probability/tilt is 0, not a number ab"),
        ({"top5_distance": {"tilt": 1.0}}, "top5_distance lacks 'gaussian_noise'"),
        ({"difficulty": 4}, "difficulty is 4"),
        ({"difficulty": True}, "difficulty is True"),
    ],
)
def test_wrong_sequence_table_is_refused(tmp_path, tables, named):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**HEAD, "dataset": "imagenet-p", **tables}))
    with pytest.raises(UserError, match=named):
        load_baseline(path, "imagenet-p")


@pytest.mark.parametrize("baseline", [{"fog": [0.5] * 5}, None, 1.0])
def test_other_type_is_refused(baseline):
    with pytest.raises(UserError, match=f"baseline is a {type(baseline).__name__}, expected"):
        load_baseline(baseline, "imagenet-c")


def test_missing_file_is_named():
    with pytest.raises(UserError, match="'alexnett' is neither one of alexnet nor a file"):
        load_baseline("alexnett", "imagenet-c")
