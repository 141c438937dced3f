"""What a check finds: rows in a file that several processes append to, a table and a report."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PASS, FAIL, SKIP, MEASURED = "PASS", "FAIL", "SKIP", "-"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        part: The part of the check.
        name: What was looked at.
        status: 'PASS', 'FAIL', 'SKIP', or '-' for a number that has no goal.
        text: The number, or why it failed or was left out.
        data: The same for programs.
    """

    part: str
    name: str
    status: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the line of the table."""
        return f"{self.status:4}  {self.part:11} {self.name:58}  {self.text}"


class Rows:
    """Appends rows of one part to a file; a line is written at once, whoever else writes.

    Args:
        file: Of all parts.
        part: Name of this part.
    """

    def __init__(self, file: Path, part: str) -> None:
        self.file, self.part = file, part

    def add(self, name: str, status: str, text: str, **data: Any) -> None:
        """Append a row."""
        row = Row(self.part, name, status, " ".join(text.split()), data)
        with self.file.open("a") as stream:
            stream.write(json.dumps(asdict(row), default=str) + "\n")

    def check(self, name: str, good: bool, text: str, **data: Any) -> None:
        """Append a row that passes or fails."""
        self.add(name, PASS if good else FAIL, text, **data)

    def attempt(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function that writes rows; if it raises, a row says so, and others follow."""
        try:
            function(*arguments)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self.add(name, FAIL, text, log=traceback.format_exc().splitlines())

    def number(
        self,
        name: str,
        value: float,
        unit: str,
        most: float | None = None,
        least: float | None = None,
        **data: Any,
    ) -> None:
        """Append a number, which passes or fails if it has a largest or a smallest good value."""
        text, good = f"{value:.3g} {unit}", True
        for goal, words in ((most, "at most"), (least, "at least")):
            if goal is not None:
                text += f"; goal: {words} {goal:g}"
                good = good and (value <= goal if goal is most else value >= goal)
        status = MEASURED if most is None and least is None else PASS if good else FAIL
        self.add(name, status, text, value=value, most=most, least=least, **data)


class Reader:
    """Reads what was appended since the last time.

    Args:
        file: The file of the rows.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.position = file, 0

    def new(self) -> list[Row]:
        """Return the rows that were not there before."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as stream:
            stream.seek(self.position)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.position += len(whole)
        return [Row(**json.loads(line)) for line in whole.splitlines()]


def report(rows: list[Row], machine: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all that goes into the JSON file."""
    statuses = [row.status for row in rows]
    return {
        "machine": machine,
        "arguments": arguments,
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "counts": {status: statuses.count(status) for status in sorted(set(statuses))},
        "rows": [asdict(row) for row in rows],
    }
