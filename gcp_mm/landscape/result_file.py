"""The JSON file of a measurement that can be interrupted and continued."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcp_mm.engine.atomic_backend import AtomicLocalBackend
from gcp_mm.engine.differences import differences
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate


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
        raise UserError(f"result file {str(path)!r} does not exist; make it with `{kind}` first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != kind:
            raise UserError(f"{str(path)!r} holds a {content['kind']!r}, expected a {kind!r}")
        return dict(content["settings"]), dict(content["results"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{str(path)!r} is not a result file of `{kind}` ({type(error).__name__}: {error}); "
            "choose another --out, or delete it"
        ) from error


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
        try:
            AtomicLocalBackend().put(text.encode(), self.path)
        except OSError as error:
            raise UserError(f"result file {str(self.path)!r} cannot be written: {error}") from error
