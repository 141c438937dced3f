"""The networks of a report; the published ones are compared with the project's record of them."""

import json
import re

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS
from gcp_mm.robustness.report.models import (
    MEANS,
    check_comparable,
    find_robustness,
    load_robustness,
    read_models,
)
from gcp_mm.zoo.rows import find_row
from robustness.report.conftest import clips


def test_files_of_one_name_are_one_network(constant, result):
    files = [constant("a"), constant("b"), result("imagenet-p", "a", clips(0.1, 2.0))]
    models = read_models(files)
    assert [(model.name, list(model.results)) for model in models] == [
        ("a", ["imagenet-c", "imagenet-p"]),
        ("b", ["imagenet-c"]),
    ]
    assert models[0].paths == {"imagenet-c": files[0], "imagenet-p": files[2]}
    assert [model.name for model in read_models(files[:2], ["x", "y"])] == ["x", "y"]


@pytest.mark.parametrize("key", ["checkpoint_sha256", "config_sha256"])
def test_one_name_and_other_weights_are_refused(constant, result, key):
    files = [constant("a"), result("imagenet-p", "a", clips(0.1, 2.0), **{key: "other"})]
    with pytest.raises(UserError, match="are both 'a', and of different networks.*--names"):
        read_models(files)


def test_one_name_twice_is_refused(constant):
    files = [constant("a"), constant("a")]
    with pytest.raises(UserError, match="0_imagenet-c.*1_imagenet-c.* 'a' on imagenet-c.*--names"):
        read_models(files)
    assert len(read_models(files, ["a", "b"])) == 2
    with pytest.raises(UserError, match="1 --names for 2 files"):
        read_models(files, ["a"])


def test_other_files_are_named(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(UserError, match=r"x\.json' does not exist"):
        read_models([path])
    path.write_text(json.dumps({"format": "gcp_mm corruptions"}))
    with pytest.raises(UserError, match=r"x\.json' is not"):
        read_models([path])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("listing_sha256", "22"),
        ("manifest_sha256", "33"),
        ("baseline_sha256", "55"),
        ("classes_sha256", "66"),
        ("num_classes", 10),
        ("num_samples", 100),
        ("regenerated", True),
    ],
)
def test_other_data_are_refused(constant, key, value):
    models = read_models([constant("a"), constant("b", **{key: value})])
    with pytest.raises(UserError, match=f"cannot be compared.*{key} is .* there and {value!r} her"):
        check_comparable(models)


def test_another_difficulty_is_refused(result):
    cells = clips(0.1, 2.0)
    for cell in cells.values():
        cell["difficulty"]["2"] = cell["difficulty"]["1"]
    files = [
        result("imagenet-p", "a", cells),
        result("imagenet-p", "b", cells, difficulty=2),
    ]
    with pytest.raises(UserError, match="difficulty is 1 there and 2 here"):
        check_comparable(read_models(files))


def test_a_shard_is_refused(constant):
    with pytest.raises(UserError, match=r"json' is one shard.*`merge`"):
        check_comparable(read_models([constant("a", shard=[0, 2])]))


def test_another_processing_is_told(constant):
    files = [constant("a"), constant("b"), constant("c", dtype="bfloat16", input_size=64)]
    (note,) = check_comparable(read_models(files))
    assert note.startswith("imagenet-c: c (here) and a (there)")
    assert "dtype is 'float32' there and 'bfloat16' here" in note
    assert "input_size is 224 there and 64 here" in note


def test_the_data_sets_are_compared_apart(constant, result):
    files = [constant("a"), result("imagenet-p", "b", clips(0.1, 2.0), listing_sha256="44")]
    assert check_comparable(read_models(files)) == []


def test_the_twelve_rows_are_those_of_the_published_table(shared):
    path = shared / "spec" / "method.md"
    if not path.is_file():
        pytest.skip(f"the record of the published tables is absent: {path}")
    section = path.read_text().partition("### 7.2")[2].partition("###")[0]
    table = {}
    for line in re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE)[1:]:
        name, *numbers = (cell.strip() for cell in line.split("|"))
        name = f"torchvision_{name[:-1]}" if name.endswith("+") else name
        table[name.lower()] = [float(number) for number in numbers]
    assert len(table) == 12
    assert {row.name: list(row.means.values()) for row in load_robustness()} == table
    assert [row.name for row in load_robustness()] == list(table)


def test_rows_are_rows_of_the_zoo_or_torchvision():
    for row in load_robustness():
        assert tuple(row.means) == MEANS
        if not row.name.startswith("torchvision_"):
            assert find_row(row.name).schedule == "lrnorm"


def test_corruption_errors_average_to_the_mce():
    rows = [row for row in load_robustness() if row.corruption_errors]
    assert len(rows) == 2
    for row in rows:
        assert tuple(row.corruption_errors) == BENCHMARK_CORRUPTIONS
        mean = sum(row.corruption_errors.values()) / len(BENCHMARK_CORRUPTIONS)
        # Digits after the point are cut off.
        assert mean == pytest.approx(row.means["mCE"], abs=0.5)


def test_rows_are_found_by_name():
    found = find_robustness(["ResNet50_GCP_LRnorm", "mobilenetv2_gap_lrnorm"])
    assert [row.name for row in found] == ["mobilenetv2_gap_lrnorm", "resnet50_gcp_lrnorm"]
    assert find_robustness(["all", "torchvision_resnet18"]) == list(load_robustness())
    assert find_robustness([]) == []
    with pytest.raises(UserError, match="'resnet50_gap_lrnorm'; the closest are resnet50_gcp_lrno"):
        find_robustness(["resnet50_gap_lrnorm"])
