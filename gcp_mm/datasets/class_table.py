"""Compare the classes of a data set on disk with those of its class table."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from gcp_mm.datasets.text_list import how_alike, is_quoted
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.images.names import is_image_name


def check_classes(
    source: str, found: Collection[str], table: Mapping[str, int], allow_missing: bool = False
) -> None:
    """Refuse classes that the table lacks, and missing ones unless they are allowed."""
    if not found:
        raise UserError(
            f"{source!r} holds no class. Expected are folders <class>/<image>, or images in one "
            "folder and a list of lines 'name index' as ann_file"
        )
    differences = []
    if missing := [] if allow_missing else sorted(table.keys() - set(found)):
        differences.append(
            f"{len(missing)} of {len(table)} missing: {abbreviate(missing)} (complete them, or set "
            "allow_missing=True in the data set's config to use a part; labels stay those of all "
            f"{len(table)} classes)"
        )
    if unknown := sorted(set(found) - table.keys()):
        differences.append(
            f"{len(unknown)} not in the class table: {abbreviate(unknown)} (move them elsewhere)"
        )
    if alike := how_alike(missing, unknown):
        differences.append(f"some differ in {alike}")
    if differences:
        raise UserError(
            f"{source!r}: expected {len(table)} classes, found {len(found)}; "
            f"{'; '.join(differences)}"
        )


def read_ground_truth(
    path: str, lines: Iterable[str], table: Mapping[str, int] | None, labels: str | None = None
) -> list[tuple[str, int]]:
    """Read a list of images with their classes.

    A line is ``name index`` or ``name class``, such as ``ILSVRC2012_val_00000001.JPEG 65``. Empty
    lines are skipped. A name that begins with the folder of a class has to have its index.
    """
    rows = [
        _split(f"{path!r}, line {number} ({line.strip()!r})", line, table)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    read = _reader(rows, table, labels)
    samples: dict[str, int] = {}
    pairs = []
    for where, name, label in rows:
        index = read(label)
        if index is None:
            known = f"from 0 to {len(table) - 1}" if table else "(no classes are given)"
            raise UserError(
                f"{where}: {label!r} is neither a class index {known} nor a class of the table. "
                "Give a list that counts classes from 0, in the order of the sorted class names"
                + ("" if table else ", or name the classes (classes=[...] of the data set)")
            )
        folder = name.replace("\\", "/").removeprefix("./").partition("/")[0]
        if table and table.get(folder, index) != index:
            raise UserError(
                f"{where}: the folder's class has index {table[folder]}, not {index}. Such a list "
                "was made from other classes; make it again, or leave out ann_file"
            )
        if samples.setdefault(name, index) != index:
            raise UserError(
                f"{where}: an earlier line gives {name!r} the class {samples[name]}. An image has "
                "one class: remove one of the lines"
            )
        pairs.append((name, index))
    return pairs


def _split(where: str, line: str, table: Mapping[str, int] | None) -> tuple[str, str, str]:
    """Split a line into where it is, its image and its label."""
    last = f"0 to {len(table) - 1}" if table else "from 0"
    form = f"Give a list with lines 'name index' ({last}) or 'name class'"
    parts = [part.strip() for part in line.strip().split("\t")]
    if len(parts) == 1:
        parts = line.strip().rsplit(maxsplit=1)
    if len(parts) > 2 or (len(parts) == 2 and _has_more_columns(parts[0])):
        raise UserError(f"{where} has more columns than an image and its class. {form}")
    if mark := re.search("[,;]" if len(parts) == 1 else "[,;]$", parts[0]):
        raise UserError(f"{where} is separated by {mark[0]!r}. {form}, separated by a blank")
    if len(parts) < 2 or not all(parts):
        raise UserError(
            f"{where} is no pair of an image and its class. A list of numbers alone is "
            "refused: ILSVRC2012_validation_ground_truth.txt of the development kit holds "
            f"ILSVRC ids from 1 to 1000, which are not class indices. {form}"
        )
    name, label = parts
    if is_quoted(name) or is_quoted(label):
        raise UserError(f"{where} has quotes, which would be part of the name. {form}")
    return where, name, label


def _has_more_columns(name: str) -> bool:
    """Say whether a name goes on behind the ending of an image: 'a.jpg 3' of 'a.jpg 3 0'."""
    words = name.split()
    return not is_image_name(name) and any(map(is_image_name, words[:-1]))


def _reader(
    rows: Sequence[tuple[str, str, str]], table: Mapping[str, int] | None, labels: str | None
) -> Callable[[str], int | None]:
    """Decide what the labels of a list are: a function that gives the index, or None."""

    def by_index(label: str) -> int | None:
        number = int(label) if label.isascii() and label.isdecimal() else -1
        return number if 0 <= number and (not table or number < len(table)) else None

    def by_name(label: str) -> int | None:
        return table.get(label) if table else None

    if labels not in (None, "index", "name"):
        raise UserError(f"list_labels={labels!r} of the data set: 'index', 'name' or None")
    if labels is not None:
        return by_index if labels == "index" else by_name
    seen = {label: where for where, _, label in reversed(rows)}
    unclear = [
        label
        for label in seen
        if None not in (by_index(label), by_name(label)) and by_index(label) != by_name(label)
    ]
    if unclear:
        fitting = [read for read in (by_index, by_name) if None not in map(read, seen)]
        if len(fitting) == 1:
            return fitting[0]
        label = unclear[0]
        raise UserError(
            f"{seen[label]}: {label!r} is the index of one class and the name of another, whose "
            f"index is {by_name(label)}. Say which with list_labels='index' or list_labels='name' "
            "in the data set's config"
        )
    return lambda label: by_name(label) if by_index(label) is None else by_index(label)
