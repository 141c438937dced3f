"""Flip probability against the original's numbers and a loop."""

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures import flip_probability

from .ranks import pairs, random_logits, top5_of


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
