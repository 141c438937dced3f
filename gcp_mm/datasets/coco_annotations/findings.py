"""What was found in an annotation file: repairs, remarks, what cannot be right, and odd ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gcp_mm.errors import UserError


@dataclass
class _Kind:
    """How often something was found, and where first."""

    first: str
    count: int = 1

    def text(self, remark: str) -> str:
        """Say both, after what was found."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        return f"{remark} ({self.first}{more})"


@dataclass
class Findings:
    """The outcome of a check; plain data, so that one process can hand it to the others.

    Attributes:
        path: The annotation file.
        patches: Values by index that repair the content, for each section and key.
        dropped: Indices of entries by section that are left out.
        renumber: Whether the ids of the annotations are counted anew.
        repairs: Repairs by what they do, for the log.
        remarks: What is doubtful and stays as it is.
        problems: What cannot be right.
        mask_problems: What cannot be right if masks are used.
        missing: Names of images that do not exist.
        hint: Where the missing images may be.
        unreadable: Names of images of which not even the size can be read, among those looked at.
        outlines_only: Problem of the masks that are no polygons, for ``poly2mask=False``.
    """

    path: str
    patches: dict[tuple[str, str], dict[int, object]] = field(default_factory=dict)
    dropped: dict[str, set[int]] = field(default_factory=dict)
    renumber: bool = False
    repairs: dict[str, _Kind] = field(default_factory=dict)
    remarks: dict[str, _Kind] = field(default_factory=dict)
    problems: dict[str, _Kind] = field(default_factory=dict)
    mask_problems: dict[str, _Kind] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    hint: str = ""
    unreadable: list[str] = field(default_factory=list)
    outlines_only: dict[str, _Kind] = field(default_factory=dict)

    @staticmethod
    def count(kinds: dict[str, _Kind], remark: str, where: object) -> None:
        """Count something under what is said of it."""
        kind = kinds.get(remark)
        if kind is None:
            kinds[remark] = _Kind(str(where))
        else:
            kind.count += 1

    def patch(self, content: dict, section: str, index: int, key: str, value: object) -> None:
        """Change an entry, and remember it for the other processes."""
        content[section][index][key] = value
        self.patches.setdefault((section, key), {})[index] = value

    def drop(self, section: str, index: int) -> None:
        """Leave an entry out."""
        self.dropped.setdefault(section, set()).add(index)

    def apply(self, content: dict) -> None:
        """Repair the content as it was read from the file; doing it twice changes nothing more."""
        for (section, key), values in self.patches.items():
            entries = content[section]
            for index, value in values.items():
                entries[index][key] = value
        for section, gone in self.dropped.items():
            kept = (entry for i, entry in enumerate(content[section]) if i not in gone)
            content[section] = list(kept)
        if self.renumber:
            for number, annotation in enumerate(content["annotations"], 1):
                annotation["id"] = number

    @property
    def is_changed(self) -> bool:
        """Whether the content differs from the file."""
        return bool(self.patches or self.dropped or self.renumber)

    def summary(self) -> list[str]:
        """Return the lines for the log: one on repairs, one on what is doubtful."""
        lines = []
        if self.repairs:
            made = "; ".join(kind.text(remark) for remark, kind in self.repairs.items())
            lines.append(f"{self.path!r}: repaired in memory, the file stays as it is: {made}")
        if self.remarks:
            seen = "; ".join(kind.text(remark) for remark, kind in self.remarks.items())
            lines.append(f"{self.path!r}: {seen}")
        return lines

    def refuse_problems(self, with_masks: bool, polygons_only: bool = False) -> None:
        """Raise what cannot be right.

        Args:
            with_masks: Whether masks are used.
            polygons_only: Whether masks that are no polygons would be left out.

        Raises:
            UserError: If anything cannot be right; names the file, the entry and the remedy.
        """
        kinds = dict(self.problems)
        if with_masks:
            kinds |= self.mask_problems
            if polygons_only:
                kinds |= self.outlines_only
        if kinds:
            raise UserError(f"{self.path!r}: {_join(kinds.items())}")


def _join(kinds: Iterable[tuple[str, _Kind]], limit: int = 3) -> str:
    kinds = list(kinds)
    rest = f"; {len(kinds) - limit} other kinds" if len(kinds) > limit else ""
    return "; ".join(kind.text(remark) for remark, kind in kinds[:limit]) + rest


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
