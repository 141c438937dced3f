"""Ids of images and categories, which COCO's tools expect to be whole numbers."""

from __future__ import annotations

from gcp_mm.datasets.coco_annotations.findings import Findings


def as_id(value: object) -> int | None:
    """Return a whole number, also one that is written as text or with a point."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    # Python converts no text of thousands of digits.
    if isinstance(value, str) and len(value) < 100 and value.strip().isdecimal():
        return int(value)
    return None


def check_ids(content: dict, findings: Findings, section: str, singular: str) -> None:
    """Make the ids of images or categories whole numbers; leave text alone where all is text."""
    entries = content[section]
    values = [entry.get("id") for entry in entries]
    if all(type(value) is int for value in values):
        return
    numbers = [as_id(value) for value in values]
    if None not in numbers:
        for index, number in enumerate(numbers):
            if type(values[index]) is not int:
                findings.patch(content, section, index, "id", number)
                kind = type(values[index]).__name__.replace("str", "text")
                remark = f"ids of {section} made whole numbers"
                findings.count(findings.repairs, remark, f"the first is the {kind} {number}")
        return
    if section == "images" and all(isinstance(value, str) and value for value in values):
        return
    index = numbers.index(None)
    findings.count(
        findings.problems,
        f"{singular} ids have to be whole numbers",
        f"entry {index} of {section} has {values[index]!r}",
    )
