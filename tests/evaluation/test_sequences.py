"""Clips of different lengths."""

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures import flip_probability, top5_distance
from gcp_mm.robustness.measures.clips import measure_clips

from .ranks import random_logits, top5_of


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
