"""The comparisons and verdicts of a plan, from what its runs left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.reproduction.configs import shortened
from gcp_mm.reproduction.measures import MEASURES, Found, find_measures
from gcp_mm.reproduction.plan import CLAIMS, Plan
from gcp_mm.reproduction.statistics import ABSENT, Comparison, combine, compare, paired

SENTENCES = {
    "convergence": "GCP learns with fewer epochs",
    "landscape": "GCP has a smoother loss and more predictive gradients",
    "robustness": "GCP is more robust to corruptions and perturbations",
    "detection": "GCP transfers better to detection",
}
"""What the paper says."""


@dataclass(frozen=True)
class Pair:
    """A measure of two arms; if it is primary, the verdict of the claim depends on it."""

    found: Found
    treatment: str
    control: str
    comparison: Comparison
    primary: bool

    @property
    def values(self) -> list[tuple[float, float]]:
        """What both arms have, of each seed that both have."""
        return paired(self.found.values[self.treatment], self.found.values[self.control])


@dataclass(frozen=True)
class ClaimVerdict:
    """What the runs of a group say of a claim: the verdicts are by treatment and control."""

    group: str
    claim: str
    pairs: Sequence[Pair]
    verdicts: Mapping[tuple[str, str], str]


def arms_of(group: Mapping[str, Any], claim: str) -> tuple[list[str], list[str], Mapping[str, Any]]:
    """Return the treatments, the controls and the table of arms of a claim."""
    if claim == "detection" and "detection" in group:
        found = group["detection"]
        return found["treatments"], found["controls"], found["arms"]
    return [group["treatment"]], group["controls"], group["arms"]


def measured_at(group: Mapping[str, Any], claim: str) -> list[str]:
    """Return the schedules at which a group measures a claim."""
    if claim == "convergence":
        return list(group["schedules"])
    return [group[claim]["schedule"]] if claim in group else []


def check_primary(plan: Plan) -> None:
    """Refuse a plan whose rule names what no group of it measures."""
    known = set(MEASURES)
    for claim, names in plan.content["verdict"]["primary"].items():
        schedules = {name for group in plan.groups.values() for name in measured_at(group, claim)}
        for name in names:
            measure, _, schedule = name.partition("/")
            fits = measure in known and MEASURES[measure].claim == claim
            if not fits or schedule not in schedules:
                named = [row.name for row in MEASURES.values() if row.claim == claim]
                raise UserError(
                    f"plan {plan.name!r}: verdict/primary/{claim}: {name!r} is no measure of this "
                    f"claim at a schedule of it: MEASURE/SCHEDULE of {', '.join(named)} "
                    f"and {', '.join(sorted(schedules)) or 'none'}"
                )
            # It is enough that one group measures it: of the others it is not expected.
            asked = {t: g for t, g in plan.groups.items() if schedule in measured_at(g, claim)}
            wrong = {title: _why_never(group, measure, schedule) for title, group in asked.items()}
            if all(wrong.values()):
                title = next(iter(wrong))
                raise UserError(
                    f"plan {plan.name!r}: verdict/primary/{claim}: {name!r} would never be "
                    f"measured in groups/{title}, {wrong[title]}: add that, or leave it out of "
                    "the rule"
                )


_NEEDED = {
    **dict.fromkeys(("top_eigenvalue", "trace"), ("landscape", "curvature")),
    **dict.fromkeys(
        ("clean_error", "corruption_error", "relative_error", "error_at_equal_clean"),
        ("robustness", "corruptions"),
    ),
    **dict.fromkeys(("flip_probability", "top5_distance"), ("robustness", "perturbations")),
}


def _why_never(group: Mapping[str, Any], measure: str, schedule: str) -> str | None:
    """Say what a group lacks for a measure; None if it has what it takes."""
    part, key = _NEEDED.get(measure, ("", ""))
    if part and not group[part].get(key):
        return f"which has no {part}/{key}"
    if measure in ("error_at_equal_clean", "early_top1"):
        loop, _ = shortened(group["schedules"][schedule][-1], group.get("shorten", 1))
        last = loop["max_epochs"]
        if measure == "early_top1" and last < 2:
            return f"where {schedule} has {last} epoch"
        # Between two epochs, or nowhere but by chance.
        if measure != "early_top1" and min(group[part]["epochs"], default=last) >= last:
            return f"whose robustness/epochs has none before the last, {last}, of {schedule}"
    return None


def _is_measured(group: Mapping[str, Any], name: str) -> bool:
    """Say whether a group has what it takes for a primary measure."""
    measure, schedule = name.split("/")
    at = measured_at(group, MEASURES[measure].claim)
    return schedule in at and not _why_never(group, measure, schedule)


def judge(plan: Plan, done: Sequence[Mapping[str, Any]]) -> list[ClaimVerdict]:
    """Compare the arms of every group in every claim that it has measures of."""
    rule = plan.content["verdict"]
    verdicts = []
    for name, group in plan.groups.items():
        own = [entry for entry in done if entry["about"].get("group") == name]
        measures = find_measures(group, own)
        for claim in CLAIMS:
            found = [entry for entry in measures if entry.measure.claim == claim]
            if found:
                verdicts.append(_judge_claim(name, group, claim, found, rule))
    return verdicts


def _judge_claim(
    name: str,
    group: Mapping[str, Any],
    claim: str,
    found: Sequence[Found],
    rule: Mapping[str, Any],
) -> ClaimVerdict:
    treatments, controls, _ = arms_of(group, claim)
    primary = [entry for entry in rule["primary"].get(claim, ()) if _is_measured(group, entry)]
    pairs = [
        Pair(
            entry,
            treatment,
            control,
            compare(
                entry.values[treatment],
                entry.values[control],
                entry.measure.sign,
                rule["confidence"],
                rule["min_seeds"],
            ),
            entry.name in primary,
        )
        for entry in found
        for treatment in treatments
        for control in controls
        if treatment in entry.values and control in entry.values
    ]
    together: dict[tuple[str, str], dict[str, str]] = {}
    for pair in pairs:
        if pair.primary:
            arms = together.setdefault((pair.treatment, pair.control), {})
            arms[pair.found.name] = pair.comparison.verdict
    verdicts = {
        arms: combine([there.get(measure, ABSENT) for measure in primary])
        for arms, there in together.items()
    }
    return ClaimVerdict(name, claim, pairs, verdicts)


def sentence(verdict: ClaimVerdict, group: Mapping[str, Any]) -> str:
    """Put a verdict into words."""
    if not verdict.verdicts:
        return "no primary measure yet"
    _, _, arms = arms_of(group, verdict.claim)
    titles = {name: arm["title"] for name, arm in arms.items()}
    several = len({treatment for treatment, _ in verdict.verdicts}) > 1
    parts = [
        f"{found} {f'for {titles[treatment]} ' if several else ''}against {titles[control]}"
        for (treatment, control), found in verdict.verdicts.items()
    ]
    return "; ".join(parts)
