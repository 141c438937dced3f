"""What finished cells allow to state."""

import json
from dataclasses import replace

import pytest

from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.plain_data import digest
from gcp_mm.robustness.evaluation.comparability import (
    corruption_measures,
    measured_data,
    perturbation_measures,
    severity_errors,
)
from gcp_mm.robustness.measures import load_baseline
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, PERTURBATIONS, SEVERITIES
from gcp_mm.robustness.report.write import summary

RELEASED = {
    "regenerated": False,
    "num_classes": 1000,
    "num_samples": None,
    "baseline": "alexnet",
    "clean_error": None,
    "shard": None,
    "difficulty": 1,
    "transform": ["decode (pillow)", "require 224 x 224"],
}
FLIPS = {"flip_probability": 0.1, "top5_distance": 1.5}
SEQUENCES = {name: {"difficulty": {"1": FLIPS, "2": FLIPS}} for name in PERTURBATIONS}


@pytest.fixture
def cells(shared):
    """Return ResNet-50's counts of 50,000 images."""
    table = json.loads((shared / "data/imagenet_c_tables/resnet50_v1.json").read_text())
    return {
        f"{name}/{severity}": {"correct": round(500 * table["top1"][name]), "total": 50000}
        for name in BENCHMARK_CORRUPTIONS
        for severity in SEVERITIES
    }


def text(measures, dataset="imagenet-c", **settings):
    content = {"name": "net", "dataset": dataset, "settings": {**RELEASED, **settings}}
    return summary({**content, "cells": {}, "metrics": measures})


def test_complete_run_states_the_published_mce(cells):
    found = corruption_measures({**cells, "clean": {"correct": 38065, "total": 50000}}, RELEASED)
    assert found["mCE"] == pytest.approx(76.70, abs=0.005)
    assert found["relative_mCE"] == pytest.approx(104.95, abs=0.005)
    assert found["not_comparable"] == [] and found["mCE_reason"] is None
    lines = text(found).splitlines()
    assert "mCE 76.70" in lines and "relative mCE 104.95" in lines
    assert "mean error of 15 corruptions 60.83%" in lines
    assert "not comparable" not in text(found)


@pytest.mark.parametrize("cell", ["fog/3", "gaussian_noise/1"])
def test_partial_run_states_no_mce(cells, cell):
    del cells[cell]
    found = corruption_measures(cells, RELEASED)
    assert found["mCE"] is found["mean_error"] is None
    assert found["mCE_reason"] == f"not complete: {cell.partition('/')[0]}"
    assert len(found["CE"]) == 14
    assert "mCE 7" not in text(found) and "no mCE: not complete" in text(found)


@pytest.mark.parametrize(
    ("changed", "reason", "states"),
    [
        ({"num_samples": 500}, "--num-samples 500", True),
        ({"regenerated": True}, "regenerated data", False),
        ({"num_classes": 10}, "10 classes, not 1000", False),
        ({"shard": [0, 2]}, None, False),
        ({"classes_sha256": "c1"}, "other classes than those of ImageNet", False),
        ({"input_size": 64}, "images of 64 x 64", True),
        (
            {"transform": ["decode (pillow)", "resize to 224 x 224 (pillow, bilinear)"]},
            "images that were resized to 224 x 224",
            True,
        ),
        ({"resized": True}, "images that were resized to 224 x 224", True),
    ],
)
def test_other_data_are_marked(cells, changed, reason, states):
    found = corruption_measures(cells, {**RELEASED, **changed})
    assert found["not_comparable"] == ([reason] if reason else [])
    assert (found["mCE"] is not None) == states == (found["mCE_reason"] is None)
    assert found["mean_error"] == pytest.approx(0.60826)
    sequences = perturbation_measures(SEQUENCES, {**RELEASED, **changed})
    assert (sequences["mFR"] is not None) == states
    assert sequences["not_comparable"] == ([reason] if reason else [])
    if reason:
        assert f"not comparable with published numbers: {reason}" in text(found, **changed)


def test_extra_corruptions_have_a_mean_of_their_own(cells):
    extra = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
    more = {f"{name}/{s}": {"correct": 1, "total": 4} for name in extra for s in SEVERITIES}
    one, other = (corruption_measures(each, RELEASED) for each in (cells, {**cells, **more}))
    assert one["mCE"] == other["mCE"] and one["mean_error_extra"] is None
    assert other["mean_error_extra"] == 0.75


def test_sequences_state_the_rate_but_no_distance():
    found = perturbation_measures(SEQUENCES, RELEASED)
    lines = text(found, "imagenet-p").splitlines()
    assert f"mFR {found['mFR']:.2f}" in lines
    assert "no mT5D: baseline 'alexnet' has no top5_distance" in lines
    assert "tilt: flip probability 0.10000, top-5 distance 1.5000" in lines


def test_sequences_of_another_difficulty_have_no_rate():
    cells = {**SEQUENCES, "gaussian_noise_2": SEQUENCES["tilt"]}
    found = perturbation_measures(cells, {**RELEASED, "difficulty": 2})
    assert found["mFR"] is None and "difficulty" in found["mFR_reason"]
    assert found["not_comparable"] == ["difficulty 2"]
    # shot_noise_2 was not measured.
    assert set(PERTURBATIONS) - found["flip_probability"].keys() == {"shot_noise"}
    # A baseline of the same difficulty divides, but nothing published is of it.
    twice = replace(load_baseline("alexnet", "imagenet-p"), difficulty=2)
    cells["shot_noise_2"] = SEQUENCES["tilt"]
    found = perturbation_measures(cells, {**RELEASED, "difficulty": 2}, twice)
    assert found["mFR"] > 0 and found["not_comparable"] == ["difficulty 2"]


# What the settings say of the 50,000 files, and of a tree of one's own.
WHOLE = {
    **RELEASED,
    "classes_sha256": digest(imagenet_wnids()),
    "files_per_cell": 50_000,
    "input_size": 224,
    "listing_sha256": "a0",
    "manifest_sha256": None,
}
OWN = {
    **WHOLE,
    **{"classes_sha256": "c6", "files_per_cell": 18, "input_size": 32, "listing_sha256": "a1"},
    **{"manifest_sha256": "d1", "num_classes": 6, "regenerated": True},
}


def mine(settings, dataset="imagenet-c"):
    """Return AlexNet's numbers as if they had been measured on some data."""
    data = settings and measured_data(settings)
    return replace(load_baseline("alexnet", dataset), name="mine", data=data, sha256="b0")


def test_baseline_of_the_whole_released_data_is_comparable(cells):
    for measured in (RELEASED, WHOLE):
        assert corruption_measures(cells, measured, mine(WHOLE)) == corruption_measures(
            cells, measured
        )
    found = perturbation_measures(SEQUENCES, WHOLE, mine(WHOLE, "imagenet-p"))
    assert found["mFR"] > 0 and found["not_comparable"] == []


def test_another_network_on_the_released_data_is_no_alexnet(cells):
    errors = severity_errors(cells)
    other = replace(mine(WHOLE), error={name: tuple(row) for name, row in errors.items()})
    found = corruption_measures(cells, WHOLE, other)
    assert found["mCE"] == pytest.approx(100)
    reason = "baseline mine, whose numbers are not those of AlexNet"
    assert found["not_comparable"] == [reason]
    assert reason in text(found)
    clean = replace(mine(WHOLE), clean_error=0.2387)
    assert corruption_measures(cells, WHOLE, clean)["not_comparable"] == [reason]
    sequences = mine(WHOLE, "imagenet-p")
    flips = {name: 0.58 * rate for name, rate in sequences.flip_probability.items()}
    for others in (flips, None):
        other = replace(sequences, flip_probability=others)
        assert perturbation_measures(SEQUENCES, WHOLE, other)["not_comparable"] == [reason]


def test_alexnet_measured_otherwise_is_alexnet(cells):
    """RobustBench's errors of AlexNet, on 5000 images."""
    means = (
        *(0.8816, 0.8883, 0.9172, 0.8220, 0.8308, 0.7872, 0.7957, 0.8680, 0.8315, 0.8236),
        *(0.5585, 0.8543, 0.6480, 0.7186, 0.6068),
    )
    table = zip(BENCHMARK_CORRUPTIONS, means, strict=True)
    measured = replace(mine(WHOLE), error={name: (mean,) * 5 for name, mean in table})
    assert corruption_measures(cells, WHOLE, measured)["not_comparable"] == []


def test_baseline_of_the_same_data_divides(cells):
    found = corruption_measures(cells, OWN, mine(OWN))
    assert found["mCE"] == pytest.approx(76.70, abs=0.005)
    assert found["not_comparable"][0] == "regenerated data"
    assert found["not_comparable"][-1] == "baseline mine"


@pytest.mark.parametrize(
    ("settings", "data", "named"),
    [
        (OWN, {**OWN, "listing_sha256": "a2"}, "listing_sha256 is 'a2' there and 'a1' here"),
        (OWN, {**OWN, "manifest_sha256": "d2"}, "manifest_sha256 is 'd2' there"),
        (OWN, {**OWN, "classes_sha256": "c7"}, "classes_sha256 is 'c7' there"),
        (OWN, {**OWN, "num_classes": 7}, "num_classes is 7 there and 6 here"),
        (OWN, {**OWN, "input_size": 224}, "input_size is 224 there and 32 here"),
        (OWN, {**OWN, "regenerated": False}, "regenerated is False there and True here"),
        (OWN, WHOLE, "regenerated data; 6 classes, not 1000"),
        (WHOLE, OWN, "regenerated is True there and False here"),
        (WHOLE, {**WHOLE, "files_per_cell": 100}, "files_per_cell is 100 there and 50000 here"),
        (WHOLE, {**WHOLE, "input_size": 64}, "input_size is 64 there and 224 here"),
        (OWN, None, "does not state 'data'"),
        (WHOLE, None, "does not state 'data'"),
    ],
)
def test_baseline_of_other_data_does_not_divide(cells, settings, data, named):
    found = corruption_measures(cells, settings, mine(data))
    assert found["mCE"] is found["CE"] is found["relative_mCE"] is None
    assert "baseline 'mine' was not measured on these data" in found["mCE_reason"]
    assert named in found["mCE_reason"]
    assert found["mean_error"] == pytest.approx(0.60826)
    found = perturbation_measures(SEQUENCES, settings, mine(data, "imagenet-p"))
    assert found["mFR"] is found["flip_rate"] is None and named in found["mFR_reason"]


def test_a_stated_clean_error_wins_over_a_measured_one(cells):
    measured = {**cells, "clean": {"correct": 3, "total": 4}}
    assert corruption_measures(measured, RELEASED)["clean_error"] == 0.25
    assert corruption_measures(measured, {**RELEASED, "clean_error": 0.5})["clean_error"] == 0.5
