"""What was fixed when a plan was first started, and what has to be there before it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, atomic_write
from gcp_mm.plain_data import differences, read_note
from gcp_mm.reproduction.configs import start_files
from gcp_mm.reproduction.jobs import Job
from gcp_mm.reproduction.plan import Plan

NOTE = "plan.json"

# Keys of plans and configs that name what is read.
_INPUTS = {"data_root", "ann_file", "images", "imagenet_c", "imagenet_p"}


def record_start(plan: Plan, work: Path) -> None:
    """Note at the first start what later ones must not change, and refuse other data at these."""
    if read_note(work / NOTE):
        check_data(plan, work)
        return
    content = {**_fixed(plan), "date": time.strftime("%Y-%m-%d %H:%M:%S")}
    content["data_root"] = str(plan.data_root.absolute())
    atomic_write(work / NOTE, json.dumps(content, indent=1) + "\n", "note")


def check_data(plan: Plan, work: Path) -> None:
    """Refuse other data than those of the first start, if there was one."""
    before = Path(str(read_note(work / NOTE).get("data_root", plan.data_root)))
    # One that is gone was moved, as far as anybody can know.
    if before.exists() and not (plan.data_root.exists() and before.samefile(plan.data_root)):
        raise UserError(
            f"the runs in {str(work)!r} were made with the data in {str(before)!r}, not with those "
            f"in {str(plan.data_root)!r}: give that --data-root, or another --work-dir"
        )


def changed_since(plan: Plan, work: Path) -> str:
    """Say what decides a verdict and is another than at the first start; empty if nothing is."""
    found, now = read_note(work / NOTE), json.loads(json.dumps(_fixed(plan)))
    # Earlier versions noted less.
    changed = differences(found, now, only=found.keys() & now.keys())
    if not changed:
        return ""
    return f"Changed since the first start on {found.get('date')}: {'; '.join(changed)}."


def _fixed(plan: Plan) -> dict[str, Any]:
    """Return what decides a verdict and is in no digest."""
    fixed = {"rule": plan.content["verdict"], "seeds": plan.seeds}
    fixed |= {
        key: {name: group[key] for name, group in plan.groups.items()}
        for key in ("controls", "treatment")
    }
    wanted = {
        "landscape": ["arms"],
        "robustness": ["arms"],
        "detection": ["treatments", "controls"],
    }
    for part, keys in wanted.items():
        parts = {name: group[part] for name, group in plan.groups.items() if part in group}
        fixed[part] = {name: {key: found[key] for key in keys} for name, found in parts.items()}
    return fixed


def check_inputs(plan: Plan, jobs: Sequence[Job]) -> None:
    """Refuse to start without what the plan reads, and its jobs start from."""
    made = plan.data_root if plan.content.get("make_data") else None
    absent = []
    named = [*_named(plan.content["groups"])]
    named += [name for job in jobs for name in start_files(job.config)]
    for text in dict.fromkeys(named):
        path = Path(text.replace("{data}", str(plan.data_root))).expanduser()
        inside = made is not None and path.is_relative_to(made)
        if "://" not in text and not inside and not path.exists():
            absent.append(str(path))
    if absent:
        raise UserError(
            f"plan {plan.name!r} reads {abbreviate(absent)}, which is not there: the head of the "
            "plan says where it comes from; --data-root names the folder of the data"
        )


def _named(content: Any) -> Iterator[str]:
    """Yield every text that names a file or a folder that is read."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key in _INPUTS and isinstance(value, str):
                # mmdet joins what is relative to the folder of its dataset, which a base may name.
                if key != "ann_file" or value.startswith("{data}") or Path(value).is_absolute():
                    yield value
            else:
                yield from _named(value)
    elif isinstance(content, list):
        for value in content:
            yield from _named(value)
