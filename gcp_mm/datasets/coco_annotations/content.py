"""Check what an annotation file says of images and categories, and then its annotations."""

from __future__ import annotations

import math
from collections import Counter

from gcp_mm.console.progress import if_long
from gcp_mm.datasets.coco_annotations.annotations import AnnotationCheck
from gcp_mm.datasets.coco_annotations.findings import Findings, as_id, check_ids
from gcp_mm.datasets.coco_annotations.image_folder import ImageFolder


def inspect_content(content: dict, path: str, images: ImageFolder | None = None) -> Findings:
    """Check what a file says, and repair values in place where that is certain."""
    findings = Findings(path)
    sizes = _check_images(content, findings, images)
    categories = _check_categories(content, findings)
    # Without sizes and categories there is nothing to compare an annotation with.
    if not findings.problems:
        AnnotationCheck(content, findings, sizes, categories).check()
    return findings


def _check_images(content: dict, findings: Findings, folder: ImageFolder | None) -> dict:
    """Check the list of images, and return their sizes by id."""
    images = content["images"]
    if not all(isinstance(image, dict) for image in images):
        findings.count(findings.problems, "an entry of images is no object", "see images")
        return {}
    if not images:
        findings.count(
            findings.problems, "the list of images is empty: name another file", "ann_file"
        )
        return {}
    check_ids(content, findings, "images", "image")
    for index, image in enumerate(images):
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            where = f"image {image.get('id')!r}, entry {index}, has {name!r}"
            findings.count(findings.problems, "each image needs its file_name", where)
    if findings.problems:
        return {}
    _check_repeated(images, findings)
    if folder is not None and not findings.problems:
        folder.check_names(content, findings)
    sizes = {}
    # An image whose entry has no size is loaded for it.
    with if_long(len(images), f"checking the images of {findings.path!r}") as progress:
        for index, image in enumerate(images):
            sizes[image["id"]] = _check_size(content, findings, index, folder)
            progress.update()
    if folder is not None and not findings.problems:
        folder.check_sizes(content, findings)
    return sizes


def _check_repeated(images: list[dict], findings: Findings) -> None:
    first: dict = {}
    for index, image in enumerate(images):
        other = images[first.setdefault(image["id"], index)]
        if other is image:
            continue
        if other == image:
            findings.drop("images", index)
            remark = "entries of images that are there twice left out"
            findings.count(findings.repairs, remark, f"image {image['id']!r}")
        else:
            findings.count(
                findings.problems,
                "several images have the same id, so it is unknown whose annotations are whose: "
                "number them anew, and their annotations with them",
                f"id {image['id']!r}: {other['file_name']!r} and {image['file_name']!r}",
            )
    names = Counter(images[index]["file_name"] for index in first.values())
    for name, number in names.items():
        if number > 1:
            remark = "files that are listed several times as different images count several times"
            findings.count(findings.remarks, remark, repr(name))


def _check_size(
    content: dict, findings: Findings, index: int, folder: ImageFolder | None
) -> tuple[float, float]:
    """Return width and height of an image; take them from the image where the file has none."""
    image = content["images"][index]
    width, height = image.get("width"), image.get("height")
    if type(width) is int and type(height) is int and width > 0 and height > 0:
        return width, height
    numbers = (as_id(width), as_id(height))
    found, remark = numbers, "width and height of images made whole numbers"
    if None in numbers or min(numbers) <= 0:
        found = folder.size_of(image) if folder is not None else None
        remark = "width and height of images taken from the images"
    if found is None:
        findings.count(
            findings.mask_problems if folder is None else findings.problems,
            "width and height of an image are not given and cannot be read from the image",
            f"image {image['id']!r}, {image['file_name']!r}: width {width!r}, height {height!r}",
        )
        return math.inf, math.inf
    for key, value in zip(("width", "height"), found, strict=True):
        findings.patch(content, "images", index, key, value)
    findings.count(findings.repairs, remark, f"image {image['id']!r}")
    return found


def _check_categories(content: dict, findings: Findings) -> set:
    """Check the list of categories, and return their ids."""
    categories = content["categories"]
    if not all(isinstance(category, dict) for category in categories):
        findings.count(findings.problems, "an entry of categories is no object", "see categories")
        return set()
    if not categories:
        findings.count(
            findings.problems, "the list of categories is empty: export it again", "categories"
        )
        return set()
    check_ids(content, findings, "categories", "category")
    for index, category in enumerate(categories):
        name = category.get("name")
        if isinstance(name, (int, float)) and type(name) is not bool:
            findings.patch(content, "categories", index, "name", str(name))
            remark = "names of categories that are numbers made text"
            findings.count(findings.repairs, remark, str(name))
        elif not isinstance(name, str) or not name:
            where = f"entry {index} of categories has {name!r}"
            findings.count(findings.problems, "each category needs its name", where)
    if findings.problems:
        return set()
    names: dict = {}
    for category in categories:
        other = names.setdefault(category.get("id"), category.get("name"))
        if other != category.get("name"):
            where = f"id {category.get('id')}: {other!r} and {category.get('name')!r}"
            findings.count(findings.problems, "several categories have the same id", where)
    return set(names)
