"""Choose rows of the model zoo by what they are."""

from __future__ import annotations

from collections.abc import Iterable

from gcp_mm.errors import UserError
from gcp_mm.zoo.rows import Row

FIELDS = ("task", "backbone", "pooling", "schedule")


def select_rows(rows: Iterable[Row], **wanted: str | None) -> list[Row]:
    """Keep the rows whose fields have the wanted values.

    Args:
        rows: Rows to choose from.
        **wanted: Value by field, one of :data:`FIELDS`; None accepts every value.

    Returns:
        The rows that have all of the values, in their order.

    Raises:
        UserError: If a value is none of a field's, or no row has all of them.
    """
    rows = list(rows)
    wanted = {name: value.lower() for name, value in wanted.items() if value is not None}
    for name, value in wanted.items():
        # The order of the table, not of the alphabet: resnet101 comes last.
        known = list(dict.fromkeys(getattr(row, name) for row in rows))
        if value not in known:
            raise UserError(f"--{name} {value}: expected one of {', '.join(known)}")
    chosen = [
        row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())
    ]
    if not chosen:
        values = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise UserError(f"no row has {values} together; leave one of them out")
    return chosen
