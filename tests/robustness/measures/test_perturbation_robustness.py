"""mFR and mT5D against published values."""

import dataclasses

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures import load_baseline, perturbation_robustness
from gcp_mm.robustness.names import PERTURBATIONS

ALEXNET = load_baseline("alexnet", "imagenet-p")
# Flip probabilities in the order of the benchmark and the published mFR.
PUBLISHED = {
    "resnext101_32x8d": (
        ".10626 .131047 .044635 .035177 .057836 .026098 .040235 .055901 .033125 .088676",
        46.148,
    ),
    "resnext101_32x48d_wsl": (
        ".058465 .069914 .028425 .02323 .036669 .015357 .024161 .034686 .021485 .046195",
        27.832,
    ),
}
FLAT = dict.fromkeys(PERTURBATIONS, 0.1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_flip_rate_as_published(name):
    values, mfr = PUBLISHED[name]
    flips = dict(zip(PERTURBATIONS, map(float, values.split()), strict=True))
    found = perturbation_robustness(flips, FLAT)
    assert found["mFR"] == pytest.approx(mfr, abs=0.001)


def test_alexnet_is_100_of_itself_and_has_no_distances():
    found = perturbation_robustness(ALEXNET.flip_probability, FLAT)
    assert found["mFR"] == 100 and found["mFR_reason"] is None
    assert found["top5_distance"] == FLAT
    assert found["mT5D"] is found["top5_ratio"] is None
    assert found["mT5D_reason"] == "baseline 'alexnet' has no top5_distance"


def test_measured_distances_give_a_mean_of_ratios():
    divisors = {name: 1.0 + index for index, name in enumerate(PERTURBATIONS)}
    baseline = dataclasses.replace(ALEXNET, top5_distance=divisors)
    found = perturbation_robustness(FLAT, dict.fromkeys(PERTURBATIONS, 2.0), baseline=baseline)
    expected = 100 * sum(2 / (1 + index) for index in range(10)) / 10
    assert found["mT5D"] == pytest.approx(expected, rel=1e-12) and found["mT5D_reason"] is None


def test_part_has_no_mean():
    part = {name: 0.1 for name in PERTURBATIONS if name != "tilt"}
    found = perturbation_robustness(part, part)
    assert found["mFR"] is None and found["mFR_reason"] == "not measured: tilt"
    assert len(found["flip_rate"]) == 9


def test_other_difficulty_has_no_mean():
    found = perturbation_robustness(FLAT, FLAT, difficulty=2)
    assert found["mFR"] is found["flip_rate"] is None
    assert found["mFR_reason"] == "baseline 'alexnet' has difficulty 1"


def test_unknown_perturbation_is_named():
    with pytest.raises(UserError, match="spatter"):
        perturbation_robustness({"spatter": 0.1}, {})
