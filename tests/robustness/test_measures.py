"""What finished cells allow to state."""

import json

import pytest

from gcp_mm.evaluation.corruptions import BENCHMARK_CORRUPTIONS, SEVERITIES
from gcp_mm.evaluation.perturbations import PERTURBATIONS
from gcp_mm.robustness.measures import corruption_measures, perturbation_measures
from gcp_mm.robustness.summary import summary

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
    # shot_noise_2 was not measured.
    assert set(PERTURBATIONS) - found["flip_probability"].keys() == {"shot_noise"}
