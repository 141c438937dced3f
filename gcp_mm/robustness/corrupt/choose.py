"""Which cells of a tree are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from gcp_mm.errors import UserError
from gcp_mm.evaluation.corruptions import SEVERITIES
from gcp_mm.robustness.cells import choose_corruptions, choose_perturbations
from gcp_mm.robustness.corrupt.cells import Cells, CorruptionCell, SequenceCell


def choose_cells(
    dataset: str,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] | None = None,
    perturbations: Sequence[str] | None = None,
) -> Cells:
    """Turn names into cells, each once and in canonical order.

    Args:
        dataset: 'imagenet-c' or 'imagenet-p'.
        corruptions: See :func:`gcp_mm.robustness.cells.choose_corruptions`; None for all 19.
        severities: From 1 to 5; None for all.
        perturbations: See :func:`gcp_mm.robustness.cells.choose_perturbations`; None for all ten.

    Returns:
        The cells.

    Raises:
        UserError: If a name or a severity is unknown, or belongs to the other data set.
    """
    stills = dataset == "imagenet-c"
    foreign = {"perturbations": perturbations} if stills else {}
    if not stills:
        foreign = {"corruptions": corruptions, "severities": severities}
    for option, value in foreign.items():
        if value is not None:
            raise UserError(f"--{option} does not belong to --dataset {dataset}")
    if not stills:
        return [SequenceCell(name) for name in choose_perturbations(perturbations or "all")]
    severities = SEVERITIES if severities is None else sorted(set(severities))
    if wrong := set(severities) - set(SEVERITIES):
        raise UserError(f"severity {min(wrong)}: expected are {SEVERITIES[0]} to {SEVERITIES[-1]}")
    return [
        CorruptionCell(name, severity)
        for name in choose_corruptions(corruptions or "all")
        for severity in severities
    ]
