"""Check what an annotation file says of images and categories, and then its annotations."""

from __future__ import annotations

import math
from collections import Counter

from gcp_mm.console.progress import if_long
from gcp_mm.datasets.coco_annotations.annotations import check_annotations
from gcp_mm.datasets.coco_annotations.fields import Known, Size
from gcp_mm.datasets.coco_annotations.findings import Findings, as_id
from gcp_mm.datasets.coco_annotations.image_folder import ImageFolder


def inspect_content(content: dict, path: str, images: ImageFolder | None = None) -> Findings:
    """Check what a file says, and repair values in place where that is certain."""
    findings = Findings(path)
    sizes = _check_images(content["images"], findings, images)
    categories = _check_categories(content["categories"], findings)
    # Without sizes and categories there is nothing to compare an annotation with.
    if not findings.problems:
        check_annotations(content["annotations"], Known(findings, sizes, categories))
    return findings


def _check_images(images: list, findings: Findings, folder: ImageFolder | None) -> dict:
    """Check the list of images, and return their sizes by id."""
    if not _are_objects(images, findings, "images", "name another file", "ann_file"):
        return {}
    _check_ids(images, findings, "images", "image")
    for index, image in enumerate(images):
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            where = f"image {image.get('id')!r}, entry {index}, has {name!r}"
            findings.problems.add("each image needs its file_name", where)
    if findings.problems:
        return {}
    _check_repeated(images, findings)
    if folder is not None and not findings.problems:
        folder.check_names(images, findings)
    sizes = {}
    # An image whose entry has no size is loaded for it.
    with if_long(len(images), f"checking the images of {findings.path!r}") as progress:
        for index, image in enumerate(images):
            sizes[image["id"]] = _check_size(index, image, findings, folder)
            progress.update()
    if folder is not None and not findings.problems:
        folder.check_sizes(images, findings)
    return sizes


def _are_objects(entries: list, findings: Findings, section: str, advice: str, where: str) -> bool:
    """Say whether a list has entries with fields to check."""
    if not all(isinstance(entry, dict) for entry in entries):
        findings.problems.add(f"an entry of {section} is no object", f"see {section}")
        return False
    if not entries:
        findings.problems.add(f"the list of {section} is empty: {advice}", where)
    return bool(entries)


def _check_ids(entries: list[dict], findings: Findings, section: str, singular: str) -> None:
    """Make the ids of images or categories whole numbers; leave text alone where all is text."""
    values = [entry.get("id") for entry in entries]
    numbers = [as_id(value) for value in values]
    if None not in numbers:
        for index, (value, number) in enumerate(zip(values, numbers, strict=True)):
            if type(value) is not int:
                kind = type(value).__name__.replace("str", "text")
                what = f"ids of {section} made whole numbers"
                where = f"the first is the {kind} {number}"
                findings.patch(section, index, entries[index], {"id": number}, what, where)
    elif section != "images" or not all(isinstance(value, str) and value for value in values):
        index = numbers.index(None)
        where = f"entry {index} of {section} has {values[index]!r}"
        findings.problems.add(f"{singular} ids have to be whole numbers", where)


def _check_repeated(images: list[dict], findings: Findings) -> None:
    first: dict = {}
    for index, image in enumerate(images):
        other = images[first.setdefault(image["id"], index)]
        if other is image:
            continue
        if other == image:
            what = "entries of images that are there twice left out"
            findings.drop("images", index, what, f"image {image['id']!r}")
        else:
            findings.problems.add(
                "several images have the same id, so it is unknown whose annotations are whose: "
                "number them anew, and their annotations with them",
                f"id {image['id']!r}: {other['file_name']!r} and {image['file_name']!r}",
            )
    names = Counter(images[index]["file_name"] for index in first.values())
    for name, number in names.items():
        if number > 1:
            what = "files that are listed several times as different images count several times"
            findings.remarks.add(what, repr(name))


def _check_size(index: int, image: dict, findings: Findings, folder: ImageFolder | None) -> Size:
    """Return width and height of an image; take them from the image where the file has none."""
    width, height = image.get("width"), image.get("height")
    if type(width) is int and type(height) is int and width > 0 and height > 0:
        return width, height
    where = f"image {image['id']!r}"
    columns, rows = as_id(width), as_id(height)
    size = (columns, rows) if columns and rows and columns > 0 and rows > 0 else None
    what = "width and height of images made whole numbers"
    if size is None and folder is not None:
        size, what = folder.size_of(image), "width and height of images taken from the images"
    if size is None:
        kinds = findings.mask_problems if folder is None else findings.problems
        kinds.add(
            "width and height of an image are not given and cannot be read from the image",
            f"{where}, {image['file_name']!r}: width {width!r}, height {height!r}",
        )
        return math.inf, math.inf
    values = dict(zip(("width", "height"), size, strict=True))
    findings.patch("images", index, image, values, what, where)
    return size


def _check_categories(categories: list, findings: Findings) -> set:
    """Check the list of categories, and return their ids."""
    if not _are_objects(categories, findings, "categories", "export it again", "categories"):
        return set()
    _check_ids(categories, findings, "categories", "category")
    for index, category in enumerate(categories):
        name = category.get("name")
        if isinstance(name, (int, float)) and type(name) is not bool:
            what = "names of categories that are numbers made text"
            findings.patch("categories", index, category, {"name": str(name)}, what, str(name))
        elif not isinstance(name, str) or not name:
            where = f"entry {index} of categories has {name!r}"
            findings.problems.add("each category needs its name", where)
    if findings.problems:
        return set()
    names: dict = {}
    for category in categories:
        other = names.setdefault(category["id"], category["name"])
        if other != category["name"]:
            where = f"id {category['id']}: {other!r} and {category['name']!r}"
            findings.problems.add("several categories have the same id", where)
    return set(names)
