"""The rows of the model zoo, as the metafiles describe them, and how some of them are chosen."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError

CLASSIFICATION, DETECTION, FINE_GRAINED = "classification", "detection", "fine-grained"

# The numbers that stand for a row.
_HEADLINES = {
    CLASSIFICATION: ("Top 1 Accuracy", "Top 5 Accuracy"),
    DETECTION: ("box AP", "mask AP"),
    FINE_GRAINED: ("Top 1 Accuracy",),
}

_TASKS = {
    "ImageNet-1k": CLASSIFICATION,
    "COCO": DETECTION,
    "CUB-200-2011": FINE_GRAINED,
    "FGVC-Aircraft": FINE_GRAINED,
    "Stanford Cars": FINE_GRAINED,
}


@dataclass(frozen=True)
class Release:
    """The file that the authors released for a row.

    Attributes:
        google_drive: Id of the file at Google Drive.
        baidu: Id of the share at Baidu, None if there is none.
        baidu_code: Extraction code of the share.
        sha256: Digest of the file, None as long as nobody has recorded it.
        size: Its size in bytes, None as long as nobody has recorded it.
    """

    google_drive: str
    baidu: str | None = None
    baidu_code: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def url(self) -> str:
        """Address of the file at Google Drive."""
        return f"https://drive.google.com/open?id={self.google_drive}"

    @property
    def baidu_url(self) -> str:
        """Address of the share at Baidu."""
        return f"https://pan.baidu.com/s/{self.baidu}"


@dataclass(frozen=True)
class Measurement:
    """Numbers of a row that this project measured.

    Attributes:
        metrics: The values, by the same names as the published ones.
        command: What gave them.
        commit: State of the repository.
        date: Day of the measurement, YYYY-MM-DD.
        machine: Hardware, in words.
    """

    metrics: Mapping[str, float]
    command: str
    commit: str
    date: str
    machine: str


@dataclass(frozen=True)
class Row:
    """A published model.

    Attributes:
        name: Its name, which is also that of the config and of the checkpoint.
        task: 'classification' (ImageNet-1k), 'detection' (COCO) or 'fine-grained'.
        dataset: Name of the data, as in the metafile.
        config: Path of the config, from :func:`zoo_root`.
        backbone: For example 'resnet50'.
        pooling: 'gap', 'gcp' or 'dropcov'; with detectors 'gap', 'gcpd' or 'gcpm'.
        schedule: 'lrnorm', 'lrfast', 'lradju' or 'mindspore' (of DropCov's port); with detectors
            '1x', on fine-grained data 'finetune'.
        epochs: Length of the training.
        parameters: Number of parameters.
        flops: Multiply-adds of the convolutions and fully connected layers for one image.
        pooling_flops: Multiply-adds of the matrix products in the covariance layer.
        reduced_channels: Channels before the covariance; None without covariance pooling.
        detector: For example 'Mask R-CNN'; None for a classifier.
        published: The authors' numbers by the name of the metric.
        release: The authors' file, if they released one.
        measured: Our own numbers.
    """

    name: str
    task: str
    dataset: str
    config: str
    backbone: str
    pooling: str
    schedule: str
    epochs: int
    parameters: int
    flops: int
    pooling_flops: int = 0
    reduced_channels: int | None = None
    detector: str | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    release: Release | None = None
    measured: tuple[Measurement, ...] = ()

    @property
    def released(self) -> Release:
        """The authors' file; a UserError says that they released none."""
        if self.release is None:
            raise UserError(
                f"the authors released no file for {self.name}: their table has no link in this "
                "row. `gcp-mm zoo list` shows which rows have one; to train this one: "
                f"tools/dist_train.sh {self.config} 8"
            )
        return self.release

    @property
    def typed_config(self) -> str:
        """The config as a command of this project takes it in the working folder."""
        if Path(self.config).is_file():
            return self.config
        return f"gcp_mm::{self.config.removeprefix('configs/')}"

    def headline(self, metrics: Mapping[str, float]) -> str:
        """Format the main numbers of ``metrics``: top-1 / top-5, or box AP / mask AP."""
        names = [name for name in _HEADLINES[self.task] if name in metrics]
        digits = 2 if self.task == CLASSIFICATION else 1
        return " / ".join(f"{metrics[name]:.{digits}f}" for name in names)


def zoo_root() -> Path:
    """Find the folder that holds ``model-index.yml`` and ``configs``.

    Returns:
        ``gcp_mm/.mim`` of an installed package, or the root of the source tree.

    Raises:
        UserError: If neither has the file.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / ".mim", package.parent):
        if (folder / "model-index.yml").is_file():
            return folder
    raise UserError(
        f"the model zoo is not here: no model-index.yml in {package / '.mim'} or "
        f"{package.parent}. Install the whole project (pip install .), not its package folder alone"
    )


@functools.cache
def load_rows() -> tuple[Row, ...]:
    """Read every row from the metafiles that ``model-index.yml`` names.

    Returns:
        The rows in the order of the files.

    Raises:
        UserError: If the metafiles are not there, or name data that there are not.
    """
    root = zoo_root()
    index = yaml.safe_load((root / "model-index.yml").read_text(encoding="utf-8"))
    metafiles = (
        yaml.safe_load((root / path).read_text(encoding="utf-8")) for path in index["Import"]
    )
    return tuple(_row(model) for metafile in metafiles for model in metafile["Models"])


def find_row(name: str) -> Row:
    """Look a row up; upper and lower case are the same, as in ``ResNet50_GCP_LRnorm``.

    Args:
        name: Name of the row.

    Returns:
        The row.

    Raises:
        UserError: If there is no such row; the message names the closest ones.
    """
    rows = {row.name: row for row in load_rows()}
    if name.lower() not in rows:
        close = difflib.get_close_matches(name.lower(), rows, n=4, cutoff=0.5)
        raise UserError(
            f"the model zoo has no row {name!r}"
            + (f"; the closest are {', '.join(close)}" if close else "")
            + f". `{command_line('zoo')} list` shows all {len(rows)}"
        )
    return rows[name.lower()]


def _row(model: Mapping) -> Row:
    """Make a row of an entry of a metafile."""
    metadata, results = model["Metadata"], model["Results"]
    released = model.get("Released")
    dataset = results[0]["Dataset"]
    if dataset not in _TASKS:
        raise UserError(
            f"the metafiles say of {model['Name']!r} that its Dataset is {dataset!r}: expected one "
            f"of {', '.join(_TASKS)}"
        )
    return Row(
        name=model["Name"],
        task=_TASKS[dataset],
        dataset=dataset,
        config=model["Config"],
        **_fields(metadata),
        published={name: value for part in results for name, value in part["Metrics"].items()},
        release=Release(**_fields(released)) if released else None,
        measured=tuple(Measurement(**_fields(entry)) for entry in model.get("Measured", ())),
    )


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the keys of a metafile into names of fields: ``Baidu Code`` becomes ``baidu_code``."""
    return {key.lower().replace(" ", "_"): value for key, value in entry.items()}


FIELDS = ("task", "backbone", "pooling", "schedule")


def select_rows(rows: Iterable[Row], **wanted: str | None) -> list[Row]:
    """Keep the rows whose fields have the wanted values."""
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
