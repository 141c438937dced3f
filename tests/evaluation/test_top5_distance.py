"""Top-5 distance against the original's numbers and its definition over all ranks."""

import numpy as np
import pytest

from gcp_mm.robustness.measures import top5_distance

from .ranks import distance, pairs, random_logits, top5_of


@pytest.mark.parametrize("noise", [True, False], ids=["noise", "temporal"])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_equals_the_original(shared, noise, difficulty):
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
