"""What a plan of the right form says wrongly: names of nothing, parts that never give a number.

Each function returns a sentence without its end, None if nothing is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any

from gcp_mm.plain_data import NUMBER, Kind
from gcp_mm.reproduction.configs import says, shortened
from gcp_mm.zoo.rows import zoo_root

# mmengine imports what stands before a dot, whatever it is.
_TYPE = re.compile(r"((gcp_mm|mmpretrain|mmdet|mmcv|mmengine)\.)?[A-Za-z]\w*", re.ASCII)
# Settings by which a config says what is imported and where is written.
_COMMANDING = ("custom_imports", "launcher", "runner_type", "work_dir")
# A number for people, and a text for YAML 1.1.
_NEARLY_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)[eE]([+-]?)(\d+)")
# What the part landscape brings: a second one would write into the file of the first.
_HOOK = "LandscapeHook"
_PART_INSTEAD = "landscape is a part of a group, which brings one"
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


def why_wrong(content: Mapping[str, Any]) -> str | None:
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
        or _why_epochs_wrong(group)
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
    if robustness and not robustness["corruptions"] and not robustness["perturbations"]:
        return "robustness: there are neither corruptions nor perturbations"
    for part in ("landscape", "robustness"):
        arms = group.get(part, {}).get("arms", group["arms"])
        if group["treatment"] not in arms:
            return f"{part}/arms: the treatment {group['treatment']!r} is not among them"
        if not set(arms).intersection(group["controls"]):
            return f"{part}/arms: no control is among them ({', '.join(group['controls'])})"
    # Each is a folder.
    folders = Counter(f"{arm}_{name}" for arm in group["arms"] for name in group["schedules"])
    if twice := [name for name, number in folders.items() if number > 1]:
        return f"arms and schedules: two of them are called {twice[0]!r} together"
    return None


def _tables(group: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what may have bases and settings: a group, its detectors, and the arms of both."""
    for where, table in (("", group), ("detection/", group.get("detection", {}))):
        yield where, table
        yield from ((f"{where}arms/{name}/", arm) for name, arm in table.get("arms", {}).items())


def _why_base_wrong(group: Mapping[str, Any]) -> str | None:
    schedules = group["schedules"]
    if empty := [name for name, bases in schedules.items() if not bases]:
        return f"schedules/{empty[0]}: there is no base; the last one is the schedule"
    texts = [*itertools.chain(*schedules.values())]
    for _, table in _tables(group):
        texts += table.get("bases", [table["base"]] if "base" in table else [])
    configs = zoo_root() / "configs"
    for base in texts:
        path = configs / base
        inside = ".." not in Path(base).parts and not Path(base).is_absolute()
        if not inside or path.suffix != ".py" or not path.is_file():
            return f"there is no base {base!r} below configs"
        if says(path, _HOOK):
            return f"the base {base!r} has a {_HOOK}; {_PART_INSTEAD}"
    return None


def _why_settings_wrong(group: Mapping[str, Any]) -> str | None:
    for where, table in _tables(group):
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


def _why_epochs_wrong(group: Mapping[str, Any]) -> str | None:
    part = group.get("robustness")
    if not part or not part["epochs"]:
        return None
    name, latest = part["schedule"], max(part["epochs"])
    loop, _ = shortened(group["schedules"][name][-1], group.get("shorten", 1))
    if latest > loop["max_epochs"]:
        return f"robustness/epochs: {name} has {loop['max_epochs']} epochs here, and no {latest}"
    return None


def _why_not_plain(value: Any, where: str) -> str | None:
    """Say what of a setting a config cannot hold, such as a date or infinity."""
    if isinstance(value, dict):
        if unfit := [key for key in value if not isinstance(key, str)]:
            return f"{where}: the key {unfit[0]!r} is not a text"
        kind = value.get("type")
        if isinstance(kind, str) and not _TYPE.fullmatch(kind):
            return f"{where}/type: {kind!r} is no name of a class of OpenMMLab or of this package"
        if isinstance(kind, str) and kind.rpartition(".")[2] == _HOOK:
            return f"{where}/type: {_PART_INSTEAD}"
        parts = [(key, entry) for key, entry in value.items()]
    elif isinstance(value, list):
        parts = [(str(index), entry) for index, entry in enumerate(value)]
    elif isinstance(value, str) and (found := _NEARLY_NUMBER.fullmatch(value)):
        sign, digits, of_power, power = found.groups()
        whole, _, fraction = digits.partition(".")
        number = f"{sign}{whole or 0}.{fraction or 0}e{of_power or '+'}{power}"
        return f"{where} is {value!r}, which is a text in YAML; write {number}"
    elif value is None or isinstance(value, (str, bool)) or NUMBER.fits(value):
        return None
    else:
        return f"{where} is {value!r}, neither a text, a finite number, true, false nor null"
    wrong = (_why_not_plain(entry, f"{where}/{key}") for key, entry in parts)
    return next(filter(None, wrong), None)
