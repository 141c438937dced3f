r"""Paired differences over seeds, their intervals, and the verdict that follows from them.

Of a measure with values x_s of one arm and y_s of another for the seeds s that both have, the
difference is d_s = x_s - y_s. Its mean has the interval

.. math:: \bar d \pm t_{(1 + c) / 2, n - 1} \; \mathrm{sd}(d) / \sqrt n

of Student's distribution at the confidence c. The rule was fixed before the runs: "shows" if the
interval excludes zero in the claimed direction, "opposite" if in the other, else "undecided". Equal
differences of all seeds, as of counts, have no spread that an interval could be made of: undecided.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

ROUNDING = 1e-6
"""Share of the values that differences have to vary by: accuracies are kept as float32."""

SHOWS, OPPOSITE, UNDECIDED, ABSENT = "shows", "opposite", "undecided", "not measured"


@dataclass(frozen=True)
class Comparison:
    """A paired difference, treatment minus control, of the seeds that both arms have.

    There is no mean without a pair, and neither deviation nor interval with fewer than two.
    """

    pairs: int
    mean: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ABSENT


def compare(
    treatment: Mapping[int, float | None],
    control: Mapping[int, float | None],
    sign: int,
    confidence: float = 0.95,
    min_pairs: int = 3,
) -> Comparison:
    """Compare the values of two arms, by seed; the sign is 1 if the claim is the larger one.

    None or NaN counts as absent; below so many pairs, whatever the interval, it is undecided.
    """
    from scipy.stats import t

    pairs = paired(treatment, control)
    differences = [x - y for x, y in pairs]
    if not differences:
        return Comparison(0)
    mean, number = statistics.fmean(differences), len(differences)
    if number < 2:
        return Comparison(number, mean, verdict=UNDECIDED)
    deviation = statistics.stdev(differences)
    quantile = float(t.ppf((1 + confidence) / 2, number - 1))
    reach = quantile * deviation / math.sqrt(number)
    low, high = mean - reach, mean + reach
    verdict = UNDECIDED
    if number >= min_pairs and vary(pairs) and (low > 0 or high < 0):
        verdict = SHOWS if sign * mean > 0 else OPPOSITE
    return Comparison(number, mean, deviation, low, high, verdict)


def paired(
    treatment: Mapping[int, float | None], control: Mapping[int, float | None]
) -> list[tuple[float, float]]:
    """Return the values of the seeds that both arms have."""
    pairs = ((value, control.get(seed)) for seed, value in treatment.items())
    return [(x, y) for x, y in pairs if _known(x) and _known(y)]


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def vary(pairs: Sequence[tuple[float, float]]) -> bool:
    """Say whether differences vary by more than rounding."""
    differences = [x - y for x, y in pairs]
    largest = max(abs(value) for pair in pairs for value in pair)
    return max(differences) - min(differences) > ROUNDING * largest


def combine(verdicts: Sequence[str]) -> str:
    """Return the verdict of a claim from those of its primary measures: theirs, if all agree.

    One that is not measured yet leaves the claim undecided, whatever the others say.
    """
    found = set(verdicts) or {ABSENT}
    return found.pop() if len(found) == 1 else UNDECIDED


def first_epoch_at(epochs: Sequence[int], values: Sequence[float], goal: float) -> float:
    """Return when a curve first reaches a goal, in epochs.

    Between two validations the curve is a line; before the first one nothing is known, and the
    first epoch counts. One more than the last epoch if the goal is not reached.
    """
    before: tuple[int, float] | None = None
    for epoch, value in zip(epochs, values, strict=True):
        if value >= goal:
            if before is None:
                return float(epoch)
            return before[0] + (epoch - before[0]) * (goal - before[1]) / (value - before[1])
        before = epoch, value
    return float(epochs[-1] + 1)


def value_at(points: Sequence[tuple[float, float]], place: float) -> float | None:
    """Interpolate linearly between points (x, y); None outside of them."""
    ordered = sorted(points)
    for (x0, y0), (x1, y1) in zip(ordered, ordered[1:], strict=False):
        if x0 <= place <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (place - x0) / (x1 - x0)
    return ordered[0][1] if len(ordered) == 1 and ordered[0][0] == place else None
