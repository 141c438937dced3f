"""A table of a page: names and numbers, shown shortly and sorted by their full value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gcp_mm.pages.inline import Piece, begin_block, escape_markdown, markdown_of, one_line

MISSING = "-"
# Of a number that is no whole one, in a column without a format.
_FORMAT = ".4g"


class Cell(NamedTuple):
    """What a cell shows, and the number that it is sorted by, as JavaScript reads it."""

    text: str
    value: str | None = None
    missing: bool = False


class Table:
    """The cells of a table, as text."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        caption: tuple[Piece, ...],
        formats: Mapping[str, str],
    ) -> None:
        if unknown := formats.keys() - set(columns):
            raise ValueError(f"formats of {sorted(unknown)}: the columns are {list(columns)}")
        values = [tuple(row) for row in rows]
        for row in values:
            if len(row) != len(columns):
                raise ValueError(
                    f"a row has {len(row)} cells, and there are {len(columns)} columns"
                )
        self.columns = [one_line(name) for name in columns]
        self.caption = caption
        self.rows = [
            [_cell(value, formats.get(name)) for name, value in zip(columns, row, strict=True)]
            for row in values
        ]
        columns_of_values = list(zip(*values, strict=True)) or [()] * len(columns)
        self.numeric = [_is_numeric(column) for column in columns_of_values]
        # The first column names the rows, unless it counts them.
        self.named = bool(values) and not self.numeric[0]

    def markdown(self) -> str:
        """Write the caption and the table in the form of GitHub."""
        lines = [
            [escape_markdown(name) for name in self.columns],
            ["---:" if numeric else ":---" for numeric in self.numeric],
            *([escape_markdown(cell.text) for cell in row] for row in self.rows),
        ]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{begin_block(markdown_of(self.caption))}\n\n{table}" if self.caption else table


def _cell(value: object, form: str | None) -> Cell:
    if value is None:
        return Cell(MISSING, missing=True)
    if isinstance(value, str):
        return Cell(one_line(value))
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"a cell is {value!r}: neither a text nor a number nor None")
    if isinstance(value, numbers.Integral):
        return Cell(format(int(value), form or "d"), str(int(value)))
    number = float(value)
    text = format(number, form or _FORMAT)
    if math.isnan(number):
        return Cell(text, missing=True)
    return Cell(text, repr(number).replace("inf", "Infinity"))


def _is_numeric(column: Sequence[object]) -> bool:
    """Say whether a column has numbers, and nothing else but gaps."""
    known = [value for value in column if value is not None]
    return bool(known) and not any(isinstance(value, str) for value in known)
