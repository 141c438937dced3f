"""What was found in an annotation file: repairs, remarks, and what cannot be right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gcp_mm.errors import UserError


@dataclass
class _Kind:
    """How often something was found, and where first."""

    first: str
    count: int = 0


_Kinds = dict[str, _Kind]


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
        outlines_only: Problem of the masks that are no polygons, for ``poly2mask=False``.
        missing: Names of images that do not exist.
        hint: Where the missing images may be.
        unreadable: Names of images of which not even the size can be read, among those looked at.
    """

    path: str
    patches: dict[tuple[str, str], dict[int, object]] = field(default_factory=dict)
    dropped: dict[str, set[int]] = field(default_factory=dict)
    renumber: bool = False
    repairs: _Kinds = field(default_factory=dict)
    remarks: _Kinds = field(default_factory=dict)
    problems: _Kinds = field(default_factory=dict)
    mask_problems: _Kinds = field(default_factory=dict)
    outlines_only: _Kinds = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    hint: str = ""
    unreadable: list[str] = field(default_factory=list)

    def repair(self, what: str, where: str) -> None:
        """Count a repair."""
        _count(self.repairs, what, where)

    def remark(self, what: str, where: str) -> None:
        """Count what is doubtful."""
        _count(self.remarks, what, where)

    def refuse(self, what: str, where: str) -> None:
        """Count what cannot be right."""
        _count(self.problems, what, where)

    def refuse_mask(self, what: str, where: str) -> None:
        """Count what cannot be right if masks are used."""
        _count(self.mask_problems, what, where)

    def refuse_bitmap(self, what: str, where: str) -> None:
        """Count what cannot be right if masks are used and have to be polygons."""
        _count(self.outlines_only, what, where)

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
        self.repair(what, where)

    def drop(self, section: str, index: int, what: str, where: str) -> None:
        """Leave an entry out."""
        self.dropped.setdefault(section, set()).add(index)
        self.repair(what, where)

    def apply(self, content: dict) -> None:
        """Repair the content as it was read from the file; doing it twice changes nothing more."""
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
            made = "; ".join(_texts(self.repairs))
            lines.append(f"{self.path!r}: repaired in memory, the file stays as it is: {made}")
        if self.remarks:
            lines.append(f"{self.path!r}: {'; '.join(_texts(self.remarks))}")
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
            rest = f"; {len(kinds) - 3} other kinds" if len(kinds) > 3 else ""
            raise UserError(f"{self.path!r}: {'; '.join(list(_texts(kinds))[:3])}{rest}")


def _count(kinds: _Kinds, what: str, where: str) -> None:
    if what not in kinds:
        kinds[what] = _Kind(where)
    kinds[what].count += 1


def _texts(kinds: _Kinds) -> Iterable[str]:
    """Say what was found, where first and how often."""
    for what, kind in kinds.items():
        more = f" and {kind.count - 1} more" if kind.count > 1 else ""
        yield f"{what} ({kind.first}{more})"


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
