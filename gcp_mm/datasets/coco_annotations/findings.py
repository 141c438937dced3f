"""What was found in an annotation file: repairs, remarks, and what cannot be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gcp_mm.errors import UserError


class Kinds(dict[str, tuple[str, int]]):
    """Where something was found first, and how often, by what it is."""

    def add(self, what: str, where: str) -> None:
        """Count it."""
        first, count = self.get(what, (where, 0))
        self[what] = first, count + 1

    def texts(self) -> list[str]:
        """Say what was found, where first and how often."""
        return [
            f"{what} ({first}{f' and {count - 1} more' if count > 1 else ''})"
            for what, (first, count) in self.items()
        ]


@dataclass
class Findings:
    """The outcome of a check; plain data, so that one process can hand it to the others.

    What repairs the content are ``patches`` (values by index, for each section and key),
    ``dropped`` (indices of entries by section) and ``renumber``, of the ids of annotations.
    ``mask_problems`` are some if masks are used, ``outlines_only`` if these have to be polygons
    (``poly2mask=False``). ``missing`` are names of images that do not exist, but may be where
    ``hint`` says; of ``unreadable`` ones not even the size can be read.
    """

    path: str
    patches: dict[tuple[str, str], dict[int, object]] = field(default_factory=dict)
    dropped: dict[str, set[int]] = field(default_factory=dict)
    renumber: bool = False
    repairs: Kinds = field(default_factory=Kinds)
    remarks: Kinds = field(default_factory=Kinds)
    problems: Kinds = field(default_factory=Kinds)
    mask_problems: Kinds = field(default_factory=Kinds)
    outlines_only: Kinds = field(default_factory=Kinds)
    missing: list[str] = field(default_factory=list)
    hint: str = ""
    unreadable: list[str] = field(default_factory=list)

    def patch(
        self,
        section: str,
        index: int,
        entry: dict,
        values: Mapping[str, object],
        what: str,
        where: str,
    ) -> None:
        """Repair an entry, and remember how for the other processes."""
        entry.update(values)
        for key, value in values.items():
            self.patches.setdefault((section, key), {})[index] = value
        self.repairs.add(what, where)

    def drop(self, section: str, index: int, what: str, where: str) -> None:
        """Leave an entry out."""
        self.dropped.setdefault(section, set()).add(index)
        self.repairs.add(what, where)

    def apply(self, content: dict) -> None:
        """Repair the content as it was read from the file, or as the check of it has left it."""
        for (section, key), values in self.patches.items():
            entries = content[section]
            for index, value in values.items():
                entries[index][key] = value
        for section, gone in self.dropped.items():
            content[section] = [e for index, e in enumerate(content[section]) if index not in gone]
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
            made = "; ".join(self.repairs.texts())
            lines.append(f"{self.path!r}: repaired in memory, the file stays as it is: {made}")
        if self.remarks:
            lines.append(f"{self.path!r}: {'; '.join(self.remarks.texts())}")
        return lines

    def refuse_problems(self, with_masks: bool, polygons_only: bool = False) -> None:
        """Raise what cannot be right, about masks only where they are used."""
        kinds = Kinds(self.problems)
        if with_masks:
            kinds.update(self.mask_problems)
            if polygons_only:
                kinds.update(self.outlines_only)
        if kinds:
            rest = f"; {len(kinds) - 3} other kinds" if len(kinds) > 3 else ""
            raise UserError(f"{self.path!r}: {'; '.join(kinds.texts()[:3])}{rest}")


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
