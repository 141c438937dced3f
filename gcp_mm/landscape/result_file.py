"""The JSON file of a measurement that can be interrupted and continued."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, atomic_write, why_absent
from gcp_mm.plain_data import differences


def read_results(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a result file.

    Args:
        path: The file.
        kind: What it has to hold: 'surface' or 'curvature'.

    Returns:
        Its settings and its results.

    Raises:
        UserError: If there is no such file, or it is none of that kind.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"result file {str(path)!r} {why_absent(path)}; make it with `{kind}` first"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != kind:
            raise UserError(f"{str(path)!r} holds a {content['kind']!r}, expected a {kind!r}")
        settings, results = content["settings"], content["results"]
        if not (isinstance(settings, dict) and isinstance(results, dict)):
            raise TypeError("settings and results have to be objects")
        _check_numbers(results)
        return settings, results
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{str(path)!r} is not a result file of `{kind}` ({type(error).__name__}: {error}); "
            "choose another --out, or delete it"
        ) from error


def is_number(value: object) -> bool:
    """Say whether a value of JSON is a number that a float can be."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def _check_numbers(results: Mapping[str, Any]) -> None:
    """Raise a TypeError that names the first result of another form than this package writes."""
    for key in ("loss", "trace", "trace_standard_error", "smallest_eigenvalue"):
        if key in results and not is_number(results[key]):
            raise TypeError(f"{key} has to be a number")
    for key in ("alphas", "betas", "eigenvalues", "grid", "density"):
        values = results.get(key, [0.0])
        if not (isinstance(values, list) and values and all(map(is_number, values))):
            raise TypeError(f"{key} has to be a list of numbers")
    if len(results.get("grid", ())) != len(results.get("density", ())):
        raise TypeError("grid and density have to be of one length")
    if "losses" in results:
        rows = results["losses"]
        if not (isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows)):
            raise TypeError("losses have to be rows of numbers")
        height, width = len(results.get("alphas", rows)), len(results.get("betas", rows[0]))
        if len(rows) != height or any(len(row) != width for row in rows):
            raise TypeError("losses have to be a row for each of alphas and a column of betas")
        known = (None, "inf", "-inf", "nan")
        if not all(is_number(loss) or loss in known for row in rows for loss in row):
            raise TypeError("losses have to be numbers")


class ResultFile:
    """Settings and results of a measurement; saving replaces the file as a whole.

    An existing file of equal settings is continued.

    Args:
        path: The file, ``{"kind": ..., "settings": {...}, "results": {...}}``.
        kind: 'surface' or 'curvature'.
        settings: Everything that the numbers depend on, as plain data.

    Raises:
        UserError: If the file holds something else or was made with other settings, which are
            named; the file stays as it is.

    Attributes:
        results: What has been measured, as plain data.
    """

    def __init__(self, path: str | Path, kind: str, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.kind = kind
        # As JSON gives them back: lists for tuples.
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.results: dict[str, Any] = {}
        if self.path.exists():
            found, self.results = read_results(self.path, kind)
            different = differences(found, self.settings)
            if different:
                raise UserError(
                    f"{str(path)!r} is from another measurement: {abbreviate(different)}. "
                    "Ask for the same, choose another --out, or delete the file"
                )

    def save(self) -> None:
        """Write settings and results.

        Raises:
            UserError: If the folder cannot be written to.
        """
        content = {"kind": self.kind, "settings": self.settings, "results": self.results}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        atomic_write(self.path, text, "result file")
