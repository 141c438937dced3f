"""Corruption error: the error under a corruption relative to that of a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.names import ALL_CORRUPTIONS, BENCHMARK_CORRUPTIONS, SEVERITIES


def corruption_error(
    errors: Mapping[str, float | Sequence[float]],
    clean_error: float | None = None,
    baseline: str | Path | Baseline = "alexnet",
) -> dict[str, Any]:
    r"""Compute CE, mCE and their relative variants (arXiv 1903.12261, section 4.1).

    With the top-1 errors E of the network and A of the baseline under corruption c at severity s,

    .. math::
        CE_c = 100 \sum_s E_{s,c} / \sum_s A_{s,c}, \qquad
        \mathrm{rel} CE_c = 100 \sum_s (E_{s,c} - E_0) / \sum_s (A_{s,c} - A_0)

    where E_0 and A_0 are the errors on clean images. mCE and relative mCE are their means over the
    fifteen corruptions of the benchmark; the four extra ones count in neither.

    Args:
        errors: For each corruption the mean error of the five severities, or the five errors.
            Fractions from 0 to 1. The order does not matter.
        clean_error: E_0, a fraction; without it nothing relative is computed.
        baseline: 'alexnet' (published), the path of a file, or a baseline.

    Returns:
        ``CE`` and ``relative_CE`` in percent by corruption; ``mCE`` and ``relative_mCE`` in
        percent and ``mean_error``, the plain mean error, as a fraction, all over the fifteen
        and None unless all fifteen are there. What needs an absent clean error is None, as is
        the relative CE of a corruption that does not change the error of the baseline.

    Raises:
        UserError: If ``errors`` is no mapping, a corruption is unknown or absent from the baseline,
            or a value is no fraction.
    """
    reference = load_baseline(baseline, "imagenet-c")
    sums = {name: _sum(name, errors[name]) for name in _ordered(errors)}
    if clean_error is not None:
        check_number("error of 'clean_error'", clean_error)
    if missing := [name for name in sums if name not in reference.error]:
        raise UserError(f"baseline {reference.name!r} has no error of {', '.join(missing)}")
    divisors = {name: math.fsum(reference.error[name]) for name in sums}
    relative = None
    if clean_error is not None and reference.clean_error is not None:
        n = len(SEVERITIES)
        rises = {name: divisors[name] - n * reference.clean_error for name in sums}
        relative = {
            name: 100 * ((sums[name] - n * clean_error) / rises[name]) if rises[name] else None
            for name in sums
        }
    ce = {name: 100 * (sums[name] / divisors[name]) for name in sums}
    return {
        "CE": ce,
        "mCE": _mean(ce),
        "relative_CE": relative,
        "relative_mCE": _mean(relative) if relative else None,
        "mean_error": _mean({name: value / len(SEVERITIES) for name, value in sums.items()}),
    }


def _ordered(errors: Mapping[str, Any]) -> list[str]:
    if not isinstance(errors, Mapping):
        raise UserError(
            f"errors is a {type(errors).__name__}, expected a mapping from the corruption to its "
            "mean error or its five errors"
        )
    if unknown := sorted(map(str, set(errors) - set(ALL_CORRUPTIONS))):
        raise UserError(
            f"no corruption of ImageNet-C: {', '.join(unknown)}; they are "
            f"{', '.join(ALL_CORRUPTIONS)}"
        )
    return [name for name in ALL_CORRUPTIONS if name in errors]


def _sum(name: str, value: Any) -> float:
    """Sum the errors of the five severities: five fractions, or their mean."""
    try:
        # A text is a sequence too.
        values = None if isinstance(value, str) else list(value)
    except TypeError:
        values = None
    if values is None:
        return check_number(f"error of {name!r}", value) * len(SEVERITIES)
    if len(values) != len(SEVERITIES):
        raise UserError(
            f"errors of {name!r}: {len(values)} values, expected one mean error or one for each of "
            f"the severities {SEVERITIES}"
        )
    return math.fsum(check_number(f"error of {name!r}", error) for error in values)


def check_number(what: str, value: Any, most: int = 1) -> float:
    """Require a number from 0 on; up to 1 it is a fraction."""
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    # A NaN is none either.
    if not 0 <= number <= most:
        kind = "fraction" if most == 1 else "number"
        raise UserError(f"{what} is {value!r}, expected a {kind} from 0 to {most}")
    return number


def _mean(values: Mapping[str, float | None]) -> float | None:
    found = [value for name in BENCHMARK_CORRUPTIONS if (value := values.get(name)) is not None]
    return math.fsum(found) / len(found) if len(found) == len(BENCHMARK_CORRUPTIONS) else None
