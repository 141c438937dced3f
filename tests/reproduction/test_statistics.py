import math

import numpy as np
import pytest

from gcp_mm.reproduction.statistics import (
    ABSENT,
    OPPOSITE,
    SHOWS,
    UNDECIDED,
    combine,
    compare,
    first_epoch_at,
    value_at,
)

stats = pytest.importorskip("scipy.stats")


def by_seed(values):
    return dict(enumerate(values))


@pytest.mark.parametrize("number", [2, 3, 5, 17])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_interval_is_that_of_the_paired_t_test(number, confidence):
    rng = np.random.default_rng(number)
    x, y = rng.normal(1, 2, number), rng.normal(0, 3, number)
    found = compare(by_seed(x), by_seed(y), 1, confidence, min_pairs=2)
    expected = stats.ttest_rel(x, y)
    interval = expected.confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.pairs == number and found.mean == pytest.approx(np.mean(x - y))
    assert found.deviation == pytest.approx(np.std(x - y, ddof=1))
    # An interval that excludes zero is a test at its level.
    assert (found.verdict == UNDECIDED) == (expected.pvalue > 1 - confidence)
    error = np.std(x - y, ddof=1) / np.sqrt(number)
    again = stats.t.interval(confidence, number - 1, np.mean(x - y), error)
    assert (found.low, found.high) == pytest.approx(again)


@pytest.mark.slow
def test_verdicts_are_as_often_wrong_as_the_confidence_says():
    """Over seeds whose true difference is zero."""
    differences = np.random.default_rng(0).normal(size=(4000, 3))
    zero = by_seed([0.0] * 3)
    found = [compare(by_seed(row), zero, 1, 0.9).verdict for row in differences]
    for verdict, share in ((SHOWS, 0.05), (OPPOSITE, 0.05), (UNDECIDED, 0.9)):
        assert found.count(verdict) / 4000 == pytest.approx(share, abs=0.015)


def test_two_pairs_in_closed_form():
    """Student's distribution of one degree of freedom is Cauchy's: its quantile is a tangent."""
    found = compare({0: 5.0, 1: 8.0}, {0: 1.0, 1: 2.0}, 1, 0.95, min_pairs=2)
    reach = math.tan(math.pi * 0.475) * 1.0  # sd of 4 and 6 is sqrt(2), over sqrt(2)
    assert (found.mean, found.deviation) == pytest.approx((5, math.sqrt(2)))
    assert (found.low, found.high) == pytest.approx((5 - reach, 5 + reach))
    assert reach == pytest.approx(12.7062, rel=1e-5) and found.verdict == UNDECIDED


@pytest.mark.parametrize("sign", [1, -1])
def test_verdict_follows_the_sign_of_the_claim(sign):
    control = {0: 1.0, 1: 2.0, 2: 3.0}
    better = {seed: value + sign * (5 + 0.1 * seed) for seed, value in control.items()}
    worse = {seed: value - sign * (5 + 0.1 * seed) for seed, value in control.items()}
    mixed = {0: 2.0, 1: 1.0, 2: 3.5}
    assert compare(better, control, sign).verdict == SHOWS
    assert compare(worse, control, sign).verdict == OPPOSITE
    assert compare(mixed, control, sign).verdict == UNDECIDED
    assert compare(better, control, sign, min_pairs=4).verdict == UNDECIDED


@pytest.mark.parametrize("difference", [0.0, 2.0, -2.0])
def test_equal_differences_have_an_interval_without_a_width_and_decide_nothing(difference):
    control = {0: 1.0, 1: 4.0, 2: 16.0}
    found = compare({s: value + difference for s, value in control.items()}, control, 1)
    assert (found.mean, found.deviation, found.low, found.high) == (
        difference,
        0,
        *[difference] * 2,
    )
    assert found.verdict == UNDECIDED


def test_differences_that_rounding_alone_tells_apart_are_equal():
    """One image of 359 more in each seed, in the float32 that accuracies are logged in."""
    counts = {0: 331, 1: 340, 2: 352}
    control = {seed: float(np.float32(100 * n / 359)) for seed, n in counts.items()}
    better = {seed: float(np.float32(100 * (n + 1) / 359)) for seed, n in counts.items()}
    found = compare(better, control, 1)
    assert 0 < found.deviation < 1e-4 and found.low == pytest.approx(100 / 359, abs=1e-4)
    assert found.verdict == UNDECIDED
    # One image of 50 000 in one of the seeds is a difference.
    better[0] += 100 / 50_000
    assert compare(better, control, 1).verdict == SHOWS


def test_seeds_that_one_arm_lacks_do_not_count():
    treatment = {0: 3.0, 1: None, 2: 5.0, 3: math.nan, 4: 4.0, 7: 9.0, 8: math.inf}
    control = {0: 1.0, 1: 1.0, 2: 2.0, 3: 1.0, 4: None, 5: 1.0, 8: 1.0}
    found = compare(treatment, control, 1, min_pairs=2)
    assert found == compare({0: 3.0, 2: 5.0}, {2: 2.0, 0: 1.0}, 1, min_pairs=2)
    assert (found.pairs, found.mean) == (2, 2.5)


def test_one_pair_has_a_difference_and_none_has_nothing():
    found = compare({0: 3.0, 1: None}, {0: 1.0, 1: 7.0}, 1, min_pairs=1)
    assert (found.pairs, found.mean, found.verdict) == (1, 2.0, UNDECIDED)
    assert (found.deviation, found.low, found.high) == (None, None, None)
    for treatment, control in (({}, {0: 1.0}), ({0: 1.0}, {}), ({0: 1.0}, {1: 1.0})):
        found = compare(treatment, control, -1)
        assert (found.pairs, found.mean, found.verdict) == (0, None, ABSENT)


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([], ABSENT),
        ([ABSENT, ABSENT], ABSENT),
        ([SHOWS], SHOWS),
        ([SHOWS, SHOWS], SHOWS),
        ([OPPOSITE, OPPOSITE], OPPOSITE),
        ([SHOWS, OPPOSITE], UNDECIDED),
        ([SHOWS, UNDECIDED], UNDECIDED),
        ([UNDECIDED, OPPOSITE], UNDECIDED),
        ([SHOWS, ABSENT], UNDECIDED),
    ],
)
def test_verdicts_together(verdicts, together):
    assert combine(verdicts) == together
    assert combine(verdicts[::-1]) == together


def test_first_epoch_that_reaches_a_goal_is_on_the_line_between_validations():
    epochs, values = [1, 2, 3, 5], [10.0, 30.0, 20.0, 40.0]
    # Reached at once, a quarter of the way, at a validation; behind the dip 12 of 20 in two epochs.
    goals = {-5.0: 1, 10.0: 1, 15.0: 1.25, 30.0: 2, 32.0: 4.2, 40.0: 5, 40.1: 6}
    for goal, epoch in goals.items():
        assert first_epoch_at(epochs, values, goal) == pytest.approx(epoch)
    # A curve that only rises is inverted.
    for goal in np.linspace(10, 40, 13):
        found = first_epoch_at([1, 2, 5], [10.0, 20.0, 40.0], goal)
        assert found == pytest.approx(np.interp(goal, [10, 20, 40], [1, 2, 5]))
    assert first_epoch_at([3], [7.0], 7.0) == 3 and first_epoch_at([3], [7.0], 7.1) == 4


def test_value_between_points():
    points = [(3.0, 30.0), (1.0, 10.0), (2.0, 0.0)]
    places = {1.0: 10.0, 1.25: 7.5, 2.0: 0.0, 2.5: 15.0, 3.0: 30.0, 0.99: None, 3.01: None}
    for place, value in places.items():
        assert value_at(points, place) == value
    for place in np.linspace(1, 3, 21):
        assert value_at(points, place) == pytest.approx(np.interp(place, [1, 2, 3], [10, 0, 30]))
    assert value_at([(1.0, 5.0)], 1.0) == 5.0 and value_at([(1.0, 5.0)], 1.1) is None
    assert value_at([], 1.0) is None
    # At equal places the smaller value: nothing divides by zero.
    assert value_at([(1.0, 5.0), (1.0, 3.0)], 1.0) == 3.0
