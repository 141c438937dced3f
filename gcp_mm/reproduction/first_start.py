"""What was fixed when a plan was first started, and what has to be there before it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, atomic_write
from gcp_mm.plain_data import differences, read_note
from gcp_mm.reproduction.plan import Plan

NOTE = "plan.json"

# Keys of plans and configs that name what is read.
_INPUTS = {"data_root", "ann_file", "load_from", "images", "imagenet_c", "imagenet_p"}


def record_start(plan: Plan, work: Path) -> None:
    """Note rule, seeds and data at the first start, and refuse other data at later ones.

    Raises:
        UserError: If the runs of the folder were made with data in another place, which is there.
    """
    found = read_note(work / NOTE)
    if not found:
        content = {**_fixed(plan), "date": time.strftime("%Y-%m-%d %H:%M:%S")}
        content["data_root"] = str(plan.data_root.absolute())
        atomic_write(work / NOTE, json.dumps(content, indent=1) + "\n", "note")
        return
    before = Path(str(found.get("data_root", plan.data_root)))
    # One that is gone was moved, as far as anybody can know.
    if before.exists() and not (plan.data_root.exists() and before.samefile(plan.data_root)):
        raise UserError(
            f"the runs in {str(work)!r} were made with the data in {str(before)!r}, not with those "
            f"in {str(plan.data_root)!r}: give that --data-root, or another --work-dir"
        )


def changed_since(plan: Plan, work: Path) -> str:
    """Say what of rule and seeds is another than at the first start; empty if nothing is."""
    found = read_note(work / NOTE)
    if not found:
        return ""
    before = {key: found.get(key) for key in _fixed(plan)}
    changed = differences(before, json.loads(json.dumps(_fixed(plan))))
    if not changed:
        return ""
    return f"Changed since the first start on {found.get('date')}: {'; '.join(changed)}."


def _fixed(plan: Plan) -> dict[str, Any]:
    rule = plan.content["verdict"]
    controls = {name: group["controls"] for name, group in plan.groups.items()}
    return {"rule": rule, "seeds": plan.seeds, "controls": controls}


def check_inputs(plan: Plan) -> None:
    """Refuse to start without what the plan reads.

    Raises:
        UserError: Names all that is not there.
    """
    made = plan.data_root if plan.content.get("make_data") else None
    absent = []
    for text in dict.fromkeys(_named(plan.content["groups"])):
        path = Path(text.replace("{data}", str(plan.data_root)))
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
