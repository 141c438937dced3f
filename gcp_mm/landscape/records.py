"""What measurements leave on the disk: the records of a run, and results that are continued.

The records are one JSON object per line, of which the first says how they were made. A result is
one JSON file, written again after every step, so that an interrupted measurement goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import FileWriteError, UserError
from gcp_mm.files import abbreviate, atomic_write, why_absent
from gcp_mm.plain_data import (
    COUNT,
    NUMBER,
    OBJECT,
    TEXT,
    Kind,
    ListOf,
    Maybe,
    differences,
    digest,
    read_json,
    why_unfit,
)


def read_results(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a result file."""
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"result file {str(path)!r} {why_absent(path)}; make it with `{kind}` first"
        )
    try:
        content = read_json(path)
        form = {"kind": Kind(repr(kind), kind.__eq__), "settings": OBJECT, "results": _RESULTS}
        why = why_unfit(content, form) or _why_uneven(content["results"])
    except UserError as error:
        why = str(error)
    if why:
        raise UserError(
            f"{str(path)!r} is not a result file of `{kind}` ({why}); choose another --out, or "
            "delete it"
        )
    return content["settings"], content["results"]


_NUMBERS = Kind(
    "a list of numbers", lambda value: value != [] and not why_unfit(value, ListOf(NUMBER))
)
# Strings stand for what JSON has no number for, null for a point that is not evaluated yet.
_LOSS = Kind("a loss", lambda value: NUMBER.fits(value) or value in (None, "inf", "-inf", "nan"))
_RESULTS = {
    **dict.fromkeys(("loss?", "trace?", "trace_standard_error?"), NUMBER),
    "smallest_eigenvalue?": NUMBER,
    **dict.fromkeys(("alphas?", "betas?", "eigenvalues?", "grid?", "density?"), _NUMBERS),
    "losses?": ListOf(ListOf(_LOSS)),
}


def _why_uneven(results: Mapping[str, Any]) -> str | None:
    """Say which results do not belong together."""
    if len(results.get("grid", ())) != len(results.get("density", ())):
        return "grid and density are not of one length"
    if (rows := results.get("losses")) is not None:
        height = len(results.get("alphas", rows))
        width = len(results.get("betas", rows[0] if rows else ()))
        if not rows or len(rows) != height or any(len(row) != width for row in rows):
            return "losses are not a row for each of alphas and a column for each of betas"
    return None


ADDED = ("processes", "samples")
"""Settings that earlier versions did not write down."""


def different_settings(
    found: Mapping[str, Any], wanted: Mapping[str, Any], only: Iterable[str] | None = None
) -> list[str]:
    """Name the settings in which two measurements differ, of those that both may have noted."""
    unknown = [key for key in ADDED if key not in found or key not in wanted]
    return differences(found, wanted, only, without=unknown)


class ResultFile:
    """Settings and results of a measurement; saving replaces the file as a whole.

    An existing file of equal settings is continued; one that holds something else, or was made with
    other settings, is refused and stays as it is.
    """

    def __init__(self, path: str | Path, kind: str, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.kind = kind
        # As JSON gives them back: lists for tuples.
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.results: dict[str, Any] = {}
        if self.path.exists():
            found, self.results = read_results(self.path, kind)
            if different := different_settings(found, self.settings):
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


_VALUES = Kind(
    "a list of numbers or null",
    lambda value: value != [] and not why_unfit(value, ListOf(Maybe(NUMBER))),
)
# The first line, and the later ones, which may lack what is not measured.
_FORMS: dict[str, dict[str, Any]] = {
    "header": {"run": TEXT, "settings": OBJECT},
    "probe": {
        **{"step": COUNT, "batch?": COUNT},
        **dict.fromkeys(("epoch?", "lr?", "loss?", "grad_norm?"), Maybe(NUMBER)),
        **dict.fromkeys(("losses?", "grad_diffs?", "beta?"), _VALUES),
    },
}


def read_records(path: str | Path) -> tuple[dict, list[dict]]:
    """Read a file of records."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"landscape records {str(path)!r} cannot be read: {error}") from error
    # Without an end, the last line was being written.
    lines = text.split("\n")[:-1]
    records: list[dict] = []
    for number, line in enumerate(lines, 1):
        record, kind = {}, "probe" if records else "header"
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
        fits = isinstance(record, dict) and record.get("kind") == kind
        if fits and kind == "header" and (version := record.get("version")) != VERSION:
            raise UserError(f"{str(path)!r} has version {version!r} of the format, not {VERSION}")
        if not fits or why_unfit(record, _FORMS[kind]):
            raise UserError(
                f"{str(path)!r}, line {number}: no landscape record; a hook or "
                f"'{command_line('landscape')} probe' writes such files"
            )
        records.append(record)
    if not records:
        raise UserError(f"{str(path)!r} holds no landscape records")
    return records[0], records[1:]


def was_counted(record: Mapping[str, Any]) -> bool:
    """Tell a checkpoint that did not say its iteration, which earlier versions did not note."""
    return bool(record.get("counted", record.get("epoch") is None))


class RecordFile:
    """A file of records that is continued; one that was made in another way stays as it is."""

    def __init__(self, path: str | Path, header: dict) -> None:
        self.path, self._header = Path(path), header
        self.records: list[dict] = []
        if self.path.exists() and self.path.stat().st_size:
            found, self.records = read_records(self.path)
            different = different_settings(found["settings"], header["settings"])
            if found.get("model") != header["model"]:
                configs = f"{found.get('config')!r} there and {header['config']!r} here"
                different.append(f"the model is another one (config {configs})")
            if self.records and different:
                raise UserError(
                    f"{str(path)!r} has measurements of another kind: {'; '.join(different)}. "
                    "They are kept. Choose another file or folder, or the settings of this one"
                )
        self._write()

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
