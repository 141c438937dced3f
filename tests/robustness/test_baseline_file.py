"""A network measured as a baseline is exactly 100 of itself."""

import json
from importlib.resources import files

import pytest
from tiny_runs import only_error

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.baselines import write_baseline
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, SEVERITIES

from .conftest import SIZE

MEANS = {"imagenet-c": ("mCE", "relative_mCE"), "imagenet-p": ("mFR", "mT5D")}


@pytest.mark.parametrize("dataset", MEANS)
def test_network_is_100_of_itself(request, call_tool, config, checkpoint, tmp_path, dataset):
    tree = request.getfixturevalue(f"tree_{dataset[-1]}")
    options = ("--dataset", dataset, "--data-root", tree, "--input-size", SIZE, "--workers", 0)
    if dataset == "imagenet-c":
        # No error of 90 images is this number, so that every corruption raises the error.
        options += ("--clean-error", 0.01)
    baseline, tool = tmp_path / "baseline.json", "tools/test_robustness.py"
    measured = tmp_path / "baseline_result.json"
    code, output, errors = call_tool(
        tool, "baseline", config, checkpoint, *options, "--out", baseline, "--name", "mine"
    )
    assert code == 0, errors
    assert f"--baseline {baseline}" in output
    # The finished cells serve again, relative to another baseline.
    command = (tool, config, checkpoint, *options, "--out", measured, "--baseline", baseline)
    code, output, errors = call_tool(*command)
    assert code == 0, errors
    metrics = json.loads(measured.read_text())["metrics"]
    assert [metrics[mean] for mean in MEANS[dataset]] == [100.0, 100.0]
    assert all(f"{mean.replace('_', ' ')} 100.00" in output for mean in MEANS[dataset])
    data = json.loads(baseline.read_text())["data"]
    settings = json.loads(measured.read_text())["settings"]
    assert data["num_classes"] == 6 and data.items() <= settings.items()
    assert settings["baseline"] == "mine"
    # A finished result is written as a baseline without measuring.
    again = tmp_path / "again.json"
    assert call_tool(tool, "baseline", measured, "--out", again)[0] == 0
    one, other = (json.loads(path.read_text()) for path in (baseline, again))
    for content in (one, other):
        del content["source"], content["name"]
    assert one == other


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--corruptions", "blur"), "not measured: gaussian_noise"),
        (("--severities", 1, 2, 4, 5), "not measured: severity 3"),
        (("--num-samples", 6), "no --num-samples"),
        (("--shard", "0/2"), "no --shard"),
        (("--dataset", "imagenet-p", "--perturbations", "tilt"), "not measured: gaussian_noise"),
    ],
)
def test_part_is_refused_before_it_is_measured(
    call_tool, config, checkpoint, tree_c, tmp_path, options, named
):
    error = only_error(
        *call_tool(
            *("tools/test_robustness.py", "baseline", config, checkpoint),
            *("--dataset", "imagenet-c", "--data-root", tree_c, "--input-size", SIZE),
            *("--workers", 0, "--out", tmp_path / "baseline.json", *options),
        )
    )
    assert "a baseline needs all" in error and named in error
    assert not list(tmp_path.iterdir())


@pytest.fixture
def perfect():
    """Content of a result file, of a network that is always right in the fog."""
    right = {"correct": 9, "total": 18}
    cells = {f"{name}/{s}": right for name in BENCHMARK_CORRUPTIONS for s in SEVERITIES}
    cells.update({f"fog/{severity}": {"correct": 18, "total": 18} for severity in SEVERITIES})
    settings = {"shard": None, "num_samples": None}
    metrics = {"clean_error": None}
    content = {"dataset": "imagenet-c", "name": "net", "settings": settings}
    return {**content, "cells": cells, "metrics": metrics}


def test_numbers_that_cannot_divide_leave_the_file_as_it_is(perfect, tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text("before")
    with pytest.raises(UserError, match=r"baseline\.json.*'fog' is \[0\.0"):
        write_baseline(perfect, path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_result_of_a_part_is_no_baseline(perfect, tmp_path):
    del perfect["cells"]["snow/2"]
    with pytest.raises(UserError, match="not measured: snow$"):
        write_baseline(perfect, tmp_path / "baseline.json")
    perfect["settings"]["num_samples"] = 5
    with pytest.raises(UserError, match="no --num-samples"):
        write_baseline(perfect, tmp_path / "baseline.json")
    assert not list(tmp_path.iterdir())


def test_copy_of_the_published_numbers_is_refused_like_them(tool, part_c, tmp_path):
    copy = tmp_path / "copy.json"
    shipped = files("gcp_mm.robustness.measures") / "baselines" / "alexnet_imagenet_c.json"
    copy.write_text(shipped.read_text())
    found = []
    for baseline in ("alexnet", copy):
        code, _, errors = tool("imagenet-c", part_c, "--severities", 1, "--baseline", baseline)
        assert code == 0, errors
        found.append((tmp_path / "out.json").read_text())
    assert found[0] == found[1] and str(tmp_path) not in found[0]
    metrics = json.loads(found[0])["metrics"]
    assert metrics["mCE"] is None and "6 classes, not 1000" in metrics["mCE_reason"]


def test_path_of_a_baseline_does_not_matter_and_its_content_does(tool, part_c, tmp_path):
    shipped = files("gcp_mm.robustness.measures") / "baselines" / "alexnet_imagenet_c.json"
    content = json.loads(shipped.read_text())
    (tmp_path / "other").mkdir()
    settings = []
    for path, clean in (("mine.json", 0.4), ("other/mine.json", 0.4), ("mine.json", 0.5)):
        (tmp_path / path).write_text(json.dumps({**content, "clean_error": clean}))
        options = ("--severities", 1, "--baseline", tmp_path / path)
        code, _, errors = tool("imagenet-c", part_c, *options)
        assert code == 0, errors
        settings.append(json.loads((tmp_path / "out.json").read_text())["settings"])
    first, moved, changed = settings
    assert first == moved
    digests = {first.pop("baseline_sha256"), changed.pop("baseline_sha256")}
    assert len(digests) == 2 and first.items() >= changed.items()


def test_checkpoint_is_required(call_tool, config, tmp_path):
    command = ("tools/test_robustness.py", "baseline", config, "--out", tmp_path / "baseline.json")
    assert "needs CONFIG and CHECKPOINT" in only_error(*call_tool(*command))
