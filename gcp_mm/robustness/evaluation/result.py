"""The result file of an evaluation: settings, versions, cells and the measures that follow.

One process writes it at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import mmengine
import mmpretrain
import numpy as np
import PIL
import torch

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, atomic_write, why_absent
from gcp_mm.first_process import on_first_process
from gcp_mm.locks import hold_file
from gcp_mm.plain_data import differences, read_json
from gcp_mm.robustness.data.video_clip import has_strict_decoder
from gcp_mm.robustness.evaluation.comparability import MEASURES
from gcp_mm.robustness.evaluation.result_form import FORMAT, VERSION, why_no_result
from gcp_mm.robustness.measures.baseline import Baseline
from gcp_mm.version import __version__

# Cells do not depend on these: names of files, and what the measures are relative to.
_FREE = ("config", "checkpoint", "baseline", "baseline_sha256", "clean_error", "difficulty")

# Other versions of these compute and decode other numbers.
_EXACT = ("av", "opencv", "pillow", "torch")


def versions(clips: bool = False) -> dict[str, str]:
    """Return the versions of the packages that the numbers depend on, for clips PyAV's too."""
    decoder = {"av": metadata.version("av")} if clips and has_strict_decoder() else {}
    return {
        **decoder,
        "gcp_mm": __version__,
        "torch": torch.__version__,
        "mmpretrain": mmpretrain.__version__,
        "mmengine": mmengine.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
    }


def read_result(path: str | Path) -> dict[str, Any]:
    """Read a result file."""
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"result file {str(path)!r} {why_absent(path)} (working folder: {Path.cwd()})"
        )
    try:
        content = read_json(path)
        if unfit := why_no_result(content):
            raise UserError(unfit)
    except (OSError, UserError) as error:
        raise UserError(
            f"{str(path)!r} is not version {VERSION} of {FORMAT!r}: {error}; "
            f"{command_line('robustness')} writes such files. Choose another file"
        ) from error
    return content


class ResultFile:
    """A result file that is continued; it is written as a whole, complete or not at all.

    One that holds something else, or was made with other settings, is refused and stays as it is.
    """

    def __init__(self, path: Path, dataset: str, name: str, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "dataset": dataset,
            "name": name,
            # As JSON gives them back: lists for tuples.
            "settings": json.loads(json.dumps(settings)),
            "versions": {},
            "environment": {},
            "cells": {},
            "metrics": {},
        }
        if path.exists():
            found = read_result(path)
            different = differences(found["settings"], self.content["settings"], without=_FREE)
            if found["dataset"] != dataset:
                different.insert(0, f"it is of {found['dataset']}, not {dataset}")
            if different:
                raise UserError(
                    f"{str(path)!r} is of another evaluation: {abbreviate(different, 6)}. It is "
                    "kept. Ask for the same, or choose another --out"
                )
            for key in ("cells", "versions", "environment"):
                self.content[key] = found.get(key, {})

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """The finished cells."""
        return self.content["cells"]

    def measured_with(
        self, packages: Mapping[str, str], environment: Mapping[str, Sequence[Any]]
    ) -> None:
        """State with what further cells are measured; the environment is information only."""
        known = self.content["versions"]
        pairs = {key: (known.get(key), packages.get(key)) for key in _EXACT}
        if known and (different := {key: pair for key, pair in pairs.items() if len({*pair}) > 1}):
            raise UserError(
                f"{str(self.path)!r} has cells that were measured with other versions: "
                f"{_describe_versions(different)}, or choose another --out"
            )
        for key, version in packages.items():
            seen = [*known[key].split(", "), *version.split(", ")] if key in known else [version]
            known[key] = ", ".join(dict.fromkeys(seen))
        for key, values in environment.items():
            seen = self.content["environment"].get(key, [])
            self.content["environment"][key] = list(dict.fromkeys([*seen, *values]))

    def save(self, baseline: Baseline) -> None:
        """Write the file, with the measures that follow from the cells."""
        measure = MEASURES[self.content["dataset"]]
        self.content["metrics"] = measure(self.cells, self.content["settings"], baseline)
        text = json.dumps(self.content, indent=1, allow_nan=False) + "\n"
        atomic_write(self.path, text, "result file")


def _describe_versions(different: Mapping[str, tuple[str | None, str | None]]) -> str:
    """Say which packages differ, and how the recorded ones come back."""
    parts = [
        f"{key} is {there or 'not recorded'} there and {here or 'not installed'} here"
        for key, (there, here) in different.items()
    ]
    remedies = [f"install {key} {there}" for key, (there, _) in different.items() if there]
    if "av" in different and not different["av"][0]:
        # Earlier versions of gcp_mm never used it.
        remedies.append("uninstall av, without which OpenCV decodes the clips as it did there")
    return f"{', '.join(parts)}. It is kept. To go on with it, {' and '.join(remedies)}"


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other evaluations from a result file and its top-5 files.

    Of all processes of a launcher the first one takes part; see :class:`gcp_mm.locks.Lock`.
    """
    lock = hold_file(path, "is being written", "wait for it, or choose another --out")

    def take() -> None:
        lock.acquire()

    on_first_process(take)
    try:
        yield
    finally:
        # Nothing happens in a process that does not hold it.
        lock.release()
