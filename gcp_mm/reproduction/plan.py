"""A plan: which networks are trained how often, what is measured, and when a claim counts as shown.

A plan is a YAML file; those of this project are in ``configs/reproduction``. It is read and never
executed: it names bases below ``configs`` and gives settings, plain data, that are merged into
them. In a text, ``{data}`` stands for the folder of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import why_absent
from gcp_mm.plain_data import (
    COUNT,
    NUMBER,
    OBJECT,
    POSITIVE,
    TEXT,
    Kind,
    ListOf,
    TableOf,
    why_unfit,
)
from gcp_mm.reproduction.plan_checks import why_wrong
from gcp_mm.reproduction.yaml_file import read_yaml
from gcp_mm.robustness.names import ALL_CORRUPTIONS, PERTURBATIONS, SEVERITIES
from gcp_mm.zoo.rows import zoo_root

CLAIMS = ("convergence", "landscape", "robustness", "detection")

_FLAG = Kind("true or false", lambda value: isinstance(value, bool))
_FACTOR = Kind("a number above 0", lambda value: NUMBER.fits(value) and value > 0)
# The width of a band of one step is zero; a trace of one sample has no error.
_SEVERAL = Kind("a whole number from 2", lambda value: POSITIVE.fits(value) and value > 1)
_CONFIDENCE = Kind("a number between 0 and 1", lambda value: NUMBER.fits(value) and 0 < value < 1)


def _one_of(*names: Any) -> Kind:
    # True equals 1, and 1.0 does.
    kinds = {type(name) for name in names}
    return Kind(
        f"one of {', '.join(map(str, names))}",
        lambda value: type(value) in kinds and value in names,
    )


_ARM = {"title": TEXT, "base?": TEXT, "settings?": OBJECT}
_LANDSCAPE = {
    "schedule": TEXT,
    "arms": ListOf(TEXT),
    "interval": POSITIVE,
    "etas": {"start": _FACTOR, "stop": _FACTOR, "num": _SEVERAL},
    "images": POSITIVE,
    "sharpness": {"radius": _FACTOR, "directions": POSITIVE},
    "curvature?": {
        "images": POSITIVE,
        "top": POSITIVE,
        "trace_samples": _SEVERAL,
        "lanczos_steps": _SEVERAL,
    },
}
_ROBUSTNESS = {
    "schedule": TEXT,
    "arms": ListOf(TEXT),
    "images": TEXT,
    "size": POSITIVE,
    "input_size?": POSITIVE,
    "workers?": COUNT,
    "epochs": ListOf(POSITIVE),
    "corruptions": ListOf(_one_of(*ALL_CORRUPTIONS)),
    "severities": ListOf(_one_of(*SEVERITIES)),
    "perturbations": ListOf(_one_of(*PERTURBATIONS)),
    "perturbation_limit?": POSITIVE,
    "released?": {"imagenet_c": TEXT, "imagenet_p": TEXT},
}
_DETECTION = {
    "schedule": TEXT,
    "bases": ListOf(TEXT),
    "settings?": OBJECT,
    "treatments": ListOf(TEXT),
    "controls": ListOf(TEXT),
    "arms": TableOf({**_ARM, "classifier": TEXT}),
}
_GROUP = {
    "title": TEXT,
    "bases": ListOf(TEXT),
    "settings?": OBJECT,
    "shorten?": _FACTOR,
    "schedules": TableOf(ListOf(TEXT)),
    "arms": TableOf(_ARM),
    "treatment": TEXT,
    "controls": ListOf(TEXT),
    "landscape?": _LANDSCAPE,
    "robustness?": _ROBUSTNESS,
    "detection?": _DETECTION,
}
_FORM = {
    "title": TEXT,
    "text": TEXT,
    "data_root": TEXT,
    "make_data?": _FLAG,
    "seeds": ListOf(COUNT),
    "gpus_per_run?": POSITIVE,
    "verdict": {
        "confidence": _CONFIDENCE,
        "min_seeds": POSITIVE,
        "primary": TableOf(ListOf(TEXT), frozenset(CLAIMS)),
    },
    "groups": TableOf(_GROUP),
}


@dataclass(frozen=True)
class Plan:
    """A checked plan.

    Attributes:
        name: Stem of its file.
        content: What it says, with all optional tables that it has.
        data_root: Folder of the data.
    """

    name: str
    content: Mapping[str, Any]
    data_root: Path

    @property
    def seeds(self) -> list[int]:
        """Seeds of every run; the numbers of two arms are paired by them."""
        return self.content["seeds"]

    @property
    def gpus_per_run(self) -> int:
        """GPUs that a training takes."""
        return self.content.get("gpus_per_run", 1)

    @property
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """Networks that are compared with one another, by name."""
        return self.content["groups"]


def plans() -> dict[str, Path]:
    """Return the plans of this project by name."""
    found = (zoo_root() / "configs" / "reproduction").glob("*.yml")
    return {path.stem: path for path in sorted(found)}


def find_plan(name: str) -> Path:
    """Return the file of a plan: one of this project by its name, or a path."""
    path, known = Path(name).expanduser(), plans()
    if path.is_file():
        return path
    if name in known:
        return known[name]
    raise UserError(f"plan {name!r} {why_absent(path)}; give a file, or one of {', '.join(known)}")


def read_plan(path: str | Path, data_root: str | Path | None = None) -> Plan:
    """Read a plan, by its path or its name; its data may be in another folder than it says."""
    path = find_plan(str(path))
    content = read_yaml(path, f"plan {str(path)!r}")
    if wrong := why_unfit(content, _FORM) or _unknown_key(content, _FORM) or why_wrong(content):
        raise UserError(f"plan {str(path)!r}: {wrong}; configs/reproduction has examples")
    return Plan(path.stem, content, Path(data_root or content["data_root"]).expanduser())


def _unknown_key(value: Any, form: Any, where: str = "") -> str | None:
    """Name a key that nothing reads: it would be a setting without effect."""
    if isinstance(form, dict):
        known = {key.removesuffix("?"): part for key, part in form.items()}
        if unknown := [key for key in value if key not in known]:
            return f"{where or 'it'} has the unknown key {unknown[0]!r}"
        parts = [(key, entry, known[key]) for key, entry in value.items()]
    elif isinstance(form, TableOf):
        parts = [(key, entry, form.form) for key, entry in value.items()]
    else:
        return None
    prefix = f"{where}/" if where else ""
    return next(
        filter(None, (_unknown_key(entry, part, f"{prefix}{key}") for key, entry, part in parts)),
        None,
    )
