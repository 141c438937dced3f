"""A plan: which networks are trained how often, what is measured, and when a claim counts as shown.

A plan is a YAML file; those of this project are in ``configs/reproduction``. It is read and never
executed: it names bases below ``configs`` and gives settings, plain data, that are merged into
them. In a text, ``{data}`` stands for the folder of the data.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from keyword import iskeyword
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
from gcp_mm.reproduction.yaml_file import read_yaml
from gcp_mm.robustness.names import ALL_CORRUPTIONS, PERTURBATIONS, SEVERITIES
from gcp_mm.zoo.rows import zoo_root

CLAIMS = ("convergence", "landscape", "robustness", "detection")

_FLAG = Kind("true or false", lambda value: isinstance(value, bool))
_FACTOR = Kind("a number above 0", lambda value: NUMBER.fits(value) and value > 0)
_CONFIDENCE = Kind("a number between 0 and 1", lambda value: NUMBER.fits(value) and 0 < value < 1)
# mmengine imports what stands before a dot, whatever it is.
_TYPE = re.compile(r"((gcp_mm|mmpretrain|mmdet|mmcv|mmengine)\.)?[A-Za-z]\w*", re.ASCII)
# Settings by which a config says what is imported and where is written.
_COMMANDING = ("custom_imports", "launcher", "runner_type", "work_dir")
# What becomes a name of folders and a part of commands.
_NAME = Kind(
    "a name of letters, digits and _",
    lambda value: isinstance(value, str) and value.isidentifier() and value.isascii(),
)
# Settings of a classifier that are not merged: the plan says them otherwise.
_OWN = {
    "randomness": "the seeds of the plan",
    "train_cfg": "schedules and shorten",
    "param_scheduler": "schedules and shorten",
}


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
    "etas": {"start": _FACTOR, "stop": _FACTOR, "num": POSITIVE},
    "images": POSITIVE,
    "sharpness": {"radius": _FACTOR, "directions": POSITIVE},
    "curvature?": {
        "images": POSITIVE,
        "top": POSITIVE,
        "trace_samples": POSITIVE,
        "lanczos_steps": POSITIVE,
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
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """Networks that are compared with one another, by name."""
        return self.content["groups"]


def plans() -> dict[str, Path]:
    """Return the plans of this project by name."""
    found = (zoo_root() / "configs" / "reproduction").glob("*.yml")
    return {path.stem: path for path in sorted(found)}


def find_plan(name: str) -> Path:
    """Return the file of a plan: one of this project by its name, or a path."""
    known = plans()
    if name in known and not Path(name).is_file():
        return known[name]
    path = Path(name)
    if not path.is_file():
        raise UserError(
            f"plan {name!r} {why_absent(path)}; give a file, or one of {', '.join(known)}"
        )
    return path


def read_plan(path: str | Path, data_root: str | Path | None = None) -> Plan:
    """Read a plan.

    Args:
        path: A YAML file, or the name of a plan of this project.
        data_root: Folder of the data; by default the one that the plan says.

    Raises:
        UserError: If there is no such file, it is no plan, or it names what it does not have.
    """
    path = find_plan(str(path))
    content = read_yaml(path, f"plan {str(path)!r}")
    if wrong := why_unfit(content, _FORM) or _unknown_key(content, _FORM) or _why_wrong(content):
        raise UserError(f"plan {str(path)!r}: {wrong}; configs/reproduction has examples")
    return Plan(path.stem, content, Path(data_root or content["data_root"]))


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


def _why_wrong(content: Mapping[str, Any]) -> str | None:
    """Say what a plan of the right form says wrongly."""
    seeds = content["seeds"]
    if not seeds or len(set(seeds)) < len(seeds) or max(seeds) >= 2**32:
        return "seeds have to be different numbers below 2^32, at least one"
    if not content["groups"]:
        return "groups: there is none"
    for name, group in content["groups"].items():
        if wrong := _why_group_wrong(group):
            return f"groups/{name}: {wrong}"
        if not _NAME.fits(name):
            return f"groups: {name!r} is not {_NAME.name}"
    return None


def _why_group_wrong(group: Mapping[str, Any]) -> str | None:
    arms, schedules = group["arms"], group["schedules"]
    if not arms or not schedules:
        return f"{'schedules' if arms else 'arms'}: there is none"
    for table in (arms, schedules, group.get("detection", {}).get("arms", {})):
        if unfit := [name for name in table if not _NAME.fits(name)]:
            return f"{unfit[0]!r} is not {_NAME.name}"
    return (
        _why_name_unknown(group)
        or _why_lists_wrong(group)
        or _why_base_wrong(group)
        or _why_settings_wrong(group)
    )


def _why_name_unknown(group: Mapping[str, Any]) -> str | None:
    arms, schedules = group["arms"], group["schedules"]
    named = [("treatment", group["treatment"], arms)]
    named += [("controls", arm, arms) for arm in group["controls"]]
    for part in ("landscape", "robustness"):
        if part in group:
            named += [(f"{part}/arms", arm, arms) for arm in group[part]["arms"]]
    if found := group.get("detection"):
        named += [("detection/arms", arm["classifier"], arms) for arm in found["arms"].values()]
        for key in ("treatments", "controls"):
            named += [(f"detection/{key}", arm, found["arms"]) for arm in found[key]]
    for part in ("landscape", "robustness", "detection"):
        if part in group:
            named.append((f"{part}/schedule", group[part]["schedule"], schedules))
    for where, name, table in named:
        if name not in table:
            return f"{where}: {name!r} is none of {', '.join(table)}"
    return None


def _why_lists_wrong(group: Mapping[str, Any]) -> str | None:
    rivals = [("", [group["treatment"]], group["controls"])]
    if found := group.get("detection"):
        rivals.append(("detection/", found["treatments"], found["controls"]))
    lists: dict[str, list] = {}
    for where, treatments, controls in rivals:
        if both := [arm for arm in treatments if arm in controls]:
            return f"{both[0]!r} cannot be its own control"
        lists |= {f"{where}treatments": treatments, f"{where}controls": controls}
    if empty := [name for name, entries in lists.items() if not entries]:
        return f"{empty[0]}: there is none to compare"
    for part in ("landscape", "robustness"):
        for key, entries in group.get(part, {}).items():
            if isinstance(entries, list):
                lists[f"{part}/{key}"] = entries
    for where, entries in lists.items():
        if twice := [entry for entry in entries if entries.count(entry) > 1]:
            return f"{where}: {twice[0]!r} is there twice"
    robustness = group.get("robustness")
    if robustness and robustness["corruptions"] and not robustness["severities"]:
        return "robustness/severities: there is none"
    # Each is a folder.
    folders = Counter(f"{arm}_{name}" for arm in group["arms"] for name in group["schedules"])
    if twice := [name for name, number in folders.items() if number > 1]:
        return f"arms and schedules: two of them are called {twice[0]!r} together"
    return None


def _why_base_wrong(group: Mapping[str, Any]) -> str | None:
    arms, schedules = group["arms"], group["schedules"]
    if empty := [name for name, bases in schedules.items() if not bases]:
        return f"schedules/{empty[0]}: there is no base; the last one is the schedule"
    texts = [*group["bases"], *itertools.chain(*schedules.values())]
    texts += [arm["base"] for arm in arms.values() if "base" in arm]
    detection = group.get("detection", {})
    texts += detection.get("bases", [])
    texts += [arm["base"] for arm in detection.get("arms", {}).values() if "base" in arm]
    for base in texts:
        path = zoo_root() / "configs" / base
        inside = ".." not in Path(base).parts and not Path(base).is_absolute()
        if not inside or path.suffix != ".py" or not path.is_file():
            return f"there is no base {base!r} below configs"
    return None


def _why_settings_wrong(group: Mapping[str, Any]) -> str | None:
    detection = group.get("detection", {})
    tables = [("", group), *((f"arms/{name}/", arm) for name, arm in group["arms"].items())]
    tables.append(("detection/", detection))
    arms = detection.get("arms", {}).items()
    tables += [(f"detection/arms/{name}/", arm) for name, arm in arms]
    for where, table in tables:
        for key, value in table.get("settings", {}).items():
            if not _NAME.fits(key) or iskeyword(key) or key.startswith("_"):
                return f"{where}settings: {key!r} is no setting of a config"
            # A detector has no other schedule than that of its config and these.
            if key in _OWN and (key == "randomness" or not where.startswith("detection/")):
                return f"{where}settings: {key} follows from {_OWN[key]}"
            if key in _COMMANDING:
                return f"{where}settings: {key} is not taken out of a plan"
            if wrong := _why_not_plain(value, f"{where}settings/{key}"):
                return wrong
    return None


def _why_not_plain(value: Any, where: str) -> str | None:
    """Say what of a setting a config cannot hold, such as a date or infinity."""
    if isinstance(value, dict):
        if unfit := [key for key in value if not isinstance(key, str)]:
            return f"{where}: the key {unfit[0]!r} is not a text"
        kind = value.get("type")
        if isinstance(kind, str) and not _TYPE.fullmatch(kind):
            return f"{where}/type: {kind!r} is no name of a class of OpenMMLab or of this package"
        parts = [(key, entry) for key, entry in value.items()]
    elif isinstance(value, list):
        parts = [(str(index), entry) for index, entry in enumerate(value)]
    elif value is None or isinstance(value, (str, bool)) or NUMBER.fits(value):
        return None
    else:
        return f"{where} is {value!r}, neither a text, a finite number, true, false nor null"
    found = (_why_not_plain(entry, f"{where}/{key}") for key, entry in parts)
    return next(filter(None, found), None)
