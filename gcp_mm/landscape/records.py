"""What measurements leave on the disk: the records of a run, and results that are continued.

The records are one JSON object per line, of which the first says how they were made. A result is
one JSON file, written again after every step, so that an interrupted measurement goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import FileWriteError, UserError
from gcp_mm.files import abbreviate, atomic_write, why_absent
from gcp_mm.plain_data import differences, digest


def read_results(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a result file."""
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
        """Write settings and results."""
        content = {"kind": self.kind, "settings": self.settings, "results": self.results}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        atomic_write(self.path, text, "result file")


VERSION = 1
FILENAME = "landscape.jsonl"
"""Records of a run in its work folder."""


def make_header(cfg: Config, settings: Mapping) -> dict:
    """Make the first line of a file of records."""
    return {
        "kind": "header",
        "version": VERSION,
        "run": Path(cfg.work_dir).resolve().name,
        "config": Path(cfg.filename).stem if cfg.filename else "",
        "model": digest(cfg.model),
        "fingerprint": digest(settings),
        "settings": dict(settings),
    }


def _is_header(record: object) -> bool:
    """Say whether it has the form of the first line, if that of this version."""
    if not isinstance(record, dict) or record.get("kind") != "header":
        return False
    known = isinstance(record.get("run"), str) and isinstance(record.get("settings"), dict)
    return known or record.get("version") != VERSION


def _is_probe(record: object) -> bool:
    """Say whether it has the form of the later lines; what is not measured may be missing."""
    if not isinstance(record, dict) or record.get("kind") != "probe":
        return False
    places = (record.get("step"), record.get("batch", 0))
    scalars = (record.get(key) for key in ("epoch", "lr", "loss", "grad_norm"))
    lists = (record.get(key, [None]) for key in ("losses", "grad_diffs", "beta"))
    return (
        all(type(place) is int for place in places)
        and all(value is None or is_number(value) for value in scalars)
        and all(
            isinstance(values, list)
            and values
            and all(value is None or is_number(value) for value in values)
            for values in lists
        )
    )


def read_records(path: str | Path) -> tuple[dict, list[dict]]:
    """Read a file of records."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"landscape records {str(path)!r} cannot be read: {error}") from error
    # Without an end, the last line was being written.
    lines = text.split("\n")[:-1]
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not (_is_header(record) if number == 1 else _is_probe(record)):
            raise UserError(
                f"{str(path)!r}, line {number}: no landscape record; a hook or "
                f"'{command_line('landscape')} probe' writes such files"
            )
        records.append(record)
    if not records:
        raise UserError(f"{str(path)!r} holds no landscape records")
    if records[0].get("version") != VERSION:
        raise UserError(
            f"{str(path)!r} has version {records[0].get('version')!r} of the format, not {VERSION}"
        )
    return records[0], records[1:]


class RecordFile:
    """A file of records that is continued.

    Args:
        path: The file.
        header: What :func:`make_header` returns.

    Raises:
        UserError: If the file has records that were made in another way, or cannot be read. It is
            left as it is.
    """

    def __init__(self, path: str | Path, header: dict) -> None:
        self.path, self._header = Path(path), header
        self.records: list[dict] = []
        if self.path.exists() and self.path.stat().st_size:
            found, self.records = read_records(self.path)
            if self.records:
                self._check(found)
        self._write()

    def _check(self, found: dict) -> None:
        """Compare the header of the file with that of this run."""
        different = differences(found.get("settings", {}), self._header["settings"])
        if found.get("model") != self._header["model"]:
            configs = f"{found.get('config')!r} there and {self._header['config']!r} here"
            different.append(f"the model is another one (config {configs})")
        if different:
            raise UserError(
                f"{str(self.path)!r} has measurements of another kind: {'; '.join(different)}. "
                "They are kept. Choose another file or folder, or the settings of this one"
            )

    def keep_before(self, step: int) -> None:
        """Drop the records of an iteration and of later ones, which will be measured again."""
        self.records = [record for record in self.records if record["step"] < step]
        self._write()

    def set_aside(self) -> Path | None:
        """Rename the file if it has records, and begin a new one."""
        if not self.records:
            return None
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        self.records = []
        self._write()
        return aside

    def append(self, record: dict) -> None:
        """Add a record, so that it survives the end of the process."""
        record = {"kind": "probe", **record}
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            what = f"landscape records {str(self.path)!r} cannot be written"
            raise FileWriteError.of(error, what) from error
        self.records.append(record)

    def _write(self) -> None:
        lines = [json.dumps(line) for line in (self._header, *self.records)]
        atomic_write(self.path, "\n".join(lines) + "\n", "landscape records")
