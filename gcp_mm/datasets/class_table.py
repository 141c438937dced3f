"""Compare the classes of a data set on disk with those of its class table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate


def check_classes(
    source: str, found: Collection[str], table: Mapping[str, int], allow_missing: bool = False
) -> None:
    """Refuse classes that the table lacks, and missing ones unless they are allowed.

    Args:
        source: Path of the folder or list that was read, for the message.
        found: Names of the classes that were found.
        table: Class index of each name.
        allow_missing: Accept that classes of the table are missing.

    Raises:
        UserError: If the classes differ; names the numbers and the first differing classes.
    """
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
    if differences:
        raise UserError(
            f"{source!r}: expected {len(table)} classes, found {len(found)}; "
            f"{'; '.join(differences)}"
        )


def read_ground_truth(
    path: str, lines: Iterable[str], table: Mapping[str, int]
) -> list[tuple[str, int]]:
    """Read a list of images with their classes.

    A line is ``name index`` or ``name class``, such as ``ILSVRC2012_val_00000001.JPEG 65``. Empty
    lines are skipped. A name that begins with the folder of a class has to have its index.

    Args:
        path: Path of the list, for messages.
        lines: Lines of the list.
        table: Class index of each class.

    Returns:
        Pairs of name and class index.

    Raises:
        UserError: If a line has another form, or its class is not in the table; names the line.
    """
    samples = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path!r}, line {number} ({line.strip()!r})"
        try:
            name, label = line.strip().rsplit(maxsplit=1)
        except ValueError:
            raise UserError(
                f"{where} is no pair of an image and its class. A list of numbers alone is "
                "refused: ILSVRC2012_validation_ground_truth.txt of the development kit holds "
                "ILSVRC ids from 1 to 1000, which are not class indices. Give a list with lines "
                f"'name index' (0 to {len(table) - 1}) or 'name class'"
            ) from None
        index = int(label) if label.isdecimal() else table.get(label, -1)
        if not 0 <= index < len(table):
            raise UserError(
                f"{where}: {label!r} is neither a class index from 0 to {len(table) - 1} nor a "
                "class of the table. Give a list that counts classes from 0, in the order of the "
                "sorted class names"
            )
        folder = name.partition("/")[0]
        if table.get(folder, index) != index:
            raise UserError(
                f"{where}: the folder's class has index {table[folder]}, not {index}. Such a list "
                "was made from other classes; make it again, or leave out ann_file"
            )
        samples.append((name, index))
    return samples
