"""Flip probability and top-5 distance against the original's numbers and loops.

mFR and mT5D against published values.
"""

import dataclasses

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures import (
    flip_probability,
    load_baseline,
    perturbation_robustness,
    top5_distance,
)
from gcp_mm.robustness.measures.perturbation_robustness import measure_clips
from gcp_mm.robustness.names import PERTURBATIONS
from robustness.measures.ranks import distance, pairs, random_logits, top5_of


@pytest.mark.parametrize("noise", [True, False], ids=["noise", "temporal"])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_equals_the_original(shared, noise, difficulty):
    golden = np.load(shared / "golden/imagenet_p.npz")
    top5 = top5_of(golden["logits"])
    assert (top5[..., 0] == golden["predictions"]).all()
    expected = golden[f"flip_prob_{'noise' if noise else 'temporal'}"][difficulty - 1]
    assert flip_probability(top5, noise, difficulty) == expected


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_equals_a_loop(noise, difficulty):
    top5 = top5_of(random_logits(classes=6))
    chosen = pairs(top5.shape[1], noise, difficulty)
    expected = np.mean([[clip[i, 0] != clip[j, 0] for i, j in chosen] for clip in top5])
    assert 0 < expected < 1
    assert flip_probability(top5, noise, difficulty) == pytest.approx(expected, rel=1e-15)


def test_frozen_frames_do_not_flip():
    assert flip_probability(np.tile(np.arange(5), (2, 4, 1)), noise=False) == 0


def test_noise_is_compared_with_the_first_frame():
    top5 = np.tile(np.arange(5), (1, 5, 1))
    top5[0, 1:, 0] = 9
    assert flip_probability(top5, noise=True) == 1
    assert flip_probability(top5, noise=False) == 0.25


@pytest.mark.parametrize(
    ("shape", "dtype", "difficulty", "named"),
    [
        ((2, 4, 6), int, 1, r"\(2, 4, 6\)"),
        ((4, 5), int, 1, r"\(4, 5\)"),
        ((2, 4, 5), float, 1, "float64"),
        ((2, 4, 5), int, 4, "difficulty is 4"),
        ((2, 1, 5), int, 1, "2 clips of 1 frames"),
        ((2, 3, 5), int, 3, "at least one clip of 4 frames"),
        ((0, 3, 5), int, 1, "0 clips"),
    ],
)
def test_mistake_is_named(shape, dtype, difficulty, named):
    with pytest.raises(UserError, match=named):
        flip_probability(np.zeros(shape, dtype), noise=False, difficulty=difficulty)


@pytest.mark.parametrize(("name", "noise"), [("shot_noise", True), ("tilt", False)])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_mean_over_clips_of_their_own_means(name, noise, difficulty):
    clips = [top5_of(random_logits(i, 1, frames, 7))[0] for i, frames in enumerate((4, 9, 4, 31))]
    found = measure_clips(clips, name, difficulty)
    single = [(clip[None], noise, difficulty) for clip in clips]
    flips = np.mean([flip_probability(*arguments) for arguments in single])
    assert found.flip_probability == pytest.approx(flips, rel=1e-14)
    distances = np.mean([top5_distance(*arguments) for arguments in single])
    assert found.top5_distance == pytest.approx(distances, rel=1e-14)
    assert found.pairs == sum(len(clip) - (1 if noise else difficulty) for clip in clips)


def test_order_of_clips_changes_no_bit():
    clips = [top5_of(random_logits(i, 1, 2 + i % 5, 7))[0] for i in range(23)]
    assert measure_clips(clips, "tilt") == measure_clips(clips[::-1], "tilt")


def test_no_clips_are_refused():
    with pytest.raises(UserError, match="tilt: no clip"):
        measure_clips([], "tilt")


@pytest.mark.parametrize("noise", [True, False], ids=["noise", "temporal"])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_equals_the_original_of_top5_distance(shared, noise, difficulty):
    golden = np.load(shared / "golden/imagenet_p.npz")
    expected = golden[f"top5_dist_{'noise' if noise else 'temporal'}"][difficulty - 1]
    assert top5_distance(top5_of(golden["logits"]), noise, difficulty) == expected


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition_over_all_ranks(seed, noise, difficulty):
    logits = random_logits(seed)
    chosen = pairs(logits.shape[1], noise, difficulty)
    expected = np.mean([[distance(clip[i], clip[j]) for i, j in chosen] for clip in logits])
    found = top5_distance(top5_of(logits), noise, difficulty)
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], 0),
        ([0, 1, 2, 3, 4], [1, 0, 2, 3, 4], 2),
        ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9], 15),
        # |1 - 6| + |2 - 6| + |3 - 6| + |4 - 6| + |5 - 1|, the maximum.
        ([0, 1, 2, 3, 4], [4, 5, 6, 7, 8], 18),
        ([0, 1, 2, 3, 4], [4, 5, 6, 7, 1], 5 + 3 + 3 + 2 + 4),
        # Not symmetric: the same pair the other way round.
        ([4, 5, 6, 7, 1], [0, 1, 2, 3, 4], 4 + 4 + 3 + 2 + 3),
    ],
)
def test_pairs_by_hand(first, second, expected):
    assert top5_distance(np.array([[first, second]]), noise=False) == expected
    assert top5_distance(np.array([[first, second]]), noise=True) == expected


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


@pytest.mark.parametrize(
    ("flips", "distances", "named"),
    [
        ({"spatter": 0.1}, {}, "spatter"),
        # In percent, mFR would be a hundred times as large.
        ({"tilt": 10.0}, {}, "flip_probability of 'tilt' is 10.0, expected a fraction from 0 to 1"),
        ({"tilt": float("nan")}, {}, "'tilt' is nan"),
        ({}, {"snow": 18.5}, "top5_distance of 'snow' is 18.5, expected a number from 0 to 18"),
        ({}, {"snow": "2"}, "'snow' is '2'"),
    ],
)
def test_mistake_in_a_table_is_named(flips, distances, named):
    with pytest.raises(UserError, match=named):
        perturbation_robustness(flips, distances)
