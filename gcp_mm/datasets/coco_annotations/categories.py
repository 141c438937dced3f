"""Match the categories of a file with the classes of a network: by name, never by place or id."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gcp_mm.datasets.text_list import check_order, how_alike
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate


@dataclass(frozen=True)
class Arrangement:
    """How the categories of a file became those of the classes.

    ``ids`` of the classes in the content ascend; of the ``file_ids`` no category has one where the
    file lacks the class. ``objects`` are annotations of the classes, without crowds.
    """

    ids: tuple[int, ...]
    file_ids: tuple[int, ...]
    objects: int
    remarks: tuple[str, ...]


def arrange_categories(
    content: dict, classes: Sequence[str] | None, path: str, allow_missing: bool
) -> Arrangement:
    """Put the categories of a file into the order of the classes, in place.

    mmdet takes the categories in the order of the file for the classes, and pycocotools sorts them
    by their ids; here both give the order of the classes. Several categories of one name are one
    class, as annotation services export a root category; one that the file lacks, which
    ``allow_missing`` allows, has no annotations.
    """
    classes = _check_classes(classes)
    by_name: dict[str, list[int]] = {}
    for category in content["categories"]:
        known = by_name.setdefault(category["name"], [])
        if category["id"] not in known:
            known.append(category["id"])
    used = Counter(annotation["category_id"] for annotation in content["annotations"])
    _compare_names(classes, by_name, used, path, allow_missing)
    remarks = _remarks(classes, by_name, used, path)

    # A class that no category has gets an id of the file's kind that is free.
    free = itertools.count(max([*(old for olds in by_name.values() for old in olds), 0]) + 1)
    file_ids = tuple(by_name[name][0] if name in by_name else next(free) for name in classes)
    is_kept = all(len(by_name.get(name, ())) == 1 for name in classes) and all(
        first < second for first, second in itertools.pairwise(file_ids)
    )
    if is_kept:
        ids = {name: by_name[name][0] for name in by_name}
    else:
        # First the classes, then the other names.
        ids = {name: number for number, name in enumerate(dict.fromkeys([*classes, *by_name]), 1)}
        new_ids = {old: ids[name] for name, olds in by_name.items() for old in olds}
        for annotation in content["annotations"]:
            annotation["category_id"] = new_ids[annotation["category_id"]]
    rest = {category["name"]: category for category in content["categories"]}
    content["categories"] = [
        {"supercategory": "", **rest.get(name, {}), "id": number, "name": name}
        for name, number in ids.items()
    ]
    content["categories"].sort(key=lambda category: category["id"])
    class_ids = tuple(ids[name] for name in classes)
    wanted = set(class_ids)
    objects = sum(not a["iscrowd"] and a["category_id"] in wanted for a in content["annotations"])
    return Arrangement(class_ids, file_ids, objects, remarks)


def _check_classes(classes: Sequence[str] | None) -> Sequence[str]:
    if isinstance(classes, str):
        raise UserError(
            f"metainfo.classes is the text {classes!r}, not names of classes: write "
            f"metainfo=dict(classes=({classes!r},)), with the comma"
        )
    check_order(classes, "metainfo.classes")
    if not classes:
        raise UserError(
            "metainfo.classes names no class: write metainfo=dict(classes=('first', 'second'))"
        )
    if others := [name for name in classes if not isinstance(name, str)]:
        raise UserError(
            f"metainfo.classes has {abbreviate(map(repr, others))}: write names as text"
        )
    twice = [name for name, number in Counter(classes).items() if number > 1]
    if twice:
        raise UserError(f"metainfo.classes has {abbreviate(map(repr, twice))} several times")
    return classes


def _compare_names(
    classes: Sequence[str], by_name: dict, used: Counter, path: str, allow_missing: bool
) -> None:
    """Refuse names that differ; a file may have more, and one to evaluate may have fewer."""
    missing = [name for name in classes if name not in by_name]
    if not missing:
        return
    extra = [name for name in by_name if name not in classes]
    in_use = [name for name, ids in by_name.items() if any(used[old] for old in ids)]
    annotated = set(in_use) & set(extra)
    alike = how_alike(missing, extra)
    if allow_missing and not annotated and not alike and len(missing) < len(classes):
        return
    own = in_use or list(by_name)
    names = ", ".join(map(repr, own[:20])) + ("," if len(own) == 1 else "")
    names += ", ..." if len(own) > 20 else ""
    remedy = (
        f"Write the names of the file, metainfo=dict(classes=({names})), into each data set of the "
        f"config, and num_classes={len(own)} into the heads; or correct the file"
    )
    if len(missing) < len(classes) and not alike:
        accept = "allow_missing=True of the data set accepts classes without a category"
        # Each of several files may have a part of the classes.
        remedy = f"{remedy}; {accept}" if annotated else f"Set {accept}. Or: {remedy}"
    raise UserError(
        f"the classes of the config are not the categories of {path!r}: metainfo.classes has "
        f"{len(classes)} ({abbreviate(map(repr, classes))}), the file has {len(by_name)} "
        f"({abbreviate(map(repr, by_name))}) and lacks {abbreviate(map(repr, missing))}. "
        f"{f'They differ in {alike}. ' if alike else ''}{remedy}"
    )


def _remarks(classes: Sequence[str], by_name: dict, used: Counter, path: str) -> tuple[str, ...]:
    remarks = []
    for name in classes:
        ids = by_name.get(name, [])
        if len(ids) > 1:
            numbers = ", ".join(f"{old} ({used[old]} annotations)" for old in ids)
            remarks.append(
                f"{path!r}: {len(ids)} categories are called {name!r} and count as one class, ids "
                f"{numbers}"
            )
    absent = [name for name in classes if name not in by_name]
    if absent:
        names = abbreviate(map(repr, absent))
        remarks.append(f"{path!r} has no category {names}: without objects it is not measured")
    left_out = [
        f"{name!r} ({number})"
        for name, olds in by_name.items()
        if name not in classes and (number := sum(used[old] for old in olds))
    ]
    if left_out:
        remarks.append(
            f"{path!r}: annotations of {abbreviate(left_out)} are left out, metainfo.classes does "
            "not name them"
        )
    return tuple(remarks)
