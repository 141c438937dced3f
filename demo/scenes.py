"""Synthetic instance-segmentation data set in the layout of COCO 2017."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2

from demo.coco_writer import (
    MAX_IMAGES,
    coco_annotations,
    coco_dataset,
    coco_image,
    coco_image_id,
)
from demo.folders import build_folder
from demo.scene import render_scene

_VERSION = 2
_MIN_SIDE = 96
_JPEG_QUALITY = 95


def write_scenes(
    root: str | os.PathLike[str],
    num_train: int = 500,
    num_val: int = 100,
    image_size: tuple[int, int] = (256, 192),
    seed: int = 0,
) -> dict[str, dict[str, int]]:
    """Write scenes of overlapping textured shapes with instance masks.

    Each image shows 3 to 5 disks, triangles and stars of random size, stretch, rotation, colour
    and texture on a textured background; the shape alone tells the class. The annotations in
    `root/annotations/instances_{train,val}2017.json` describe the visible part of everything
    painted in the images `root/{train,val}2017/<id>.jpg`. Every sixth image, beginning with the
    first of each split, also shows a crowd: a cluster of small objects of one class under one
    annotation with `iscrowd` 1.

    Args:
        root: Folder to create; see `Raises` for an existing one.
        num_train: Number of training images, at least 1.
        num_val: Number of validation images, at least 1.
        image_size: Width and height of the images, in pixels; at least 96 each.
        seed: Non-negative seed. An image depends on the seed, its split, its index in the split
            and the image size, but not on the number of images.

    Returns:
        By split (`train`, `val`), the number of `images`, `instances` (without crowds) and
        `crowds`.

    Raises:
        ValueError: If an argument is out of its range.
        FolderExistsError: If `root` exists but was not written by a call with equal arguments. If
            it was, nothing is rewritten and the recorded counts are returned.
    """
    numbers = {"train": num_train, "val": num_val}
    for split, number in numbers.items():
        if not 1 <= number <= MAX_IMAGES:
            raise ValueError(f"num_{split} is {number}; give 1 to {MAX_IMAGES} images.")
    width, height = image_size
    if min(width, height) < _MIN_SIDE:
        raise ValueError(
            f"image_size is {width} x {height}; give at least {_MIN_SIDE} x {_MIN_SIDE} pixels."
        )
    if seed < 0:
        raise ValueError(f"seed is {seed}; give a non-negative integer.")
    request = {
        "generator": "scenes",
        "version": _VERSION,
        "num_train": num_train,
        "num_val": num_val,
        "image_size": [width, height],
        "seed": seed,
    }

    def build(folder: Path) -> dict[str, dict[str, int]]:
        return {
            split: _write_split(folder, split, number, (width, height), seed)
            for split, number in numbers.items()
        }

    return build_folder(root, request, build)


def _write_split(
    folder: Path, split: str, number: int, image_size: tuple[int, int], seed: int
) -> dict[str, int]:
    """Write the images and the annotation file of one split and return its counts."""
    # mmengine takes seconds to import, and this package needs nothing else of it.
    from gcp_mm.console.progress import if_long

    image_folder = folder / f"{split}2017"
    image_folder.mkdir()
    images, annotations = [], []
    with if_long(number, f"drawing images of {split}") as progress:
        for index in range(number):
            scene = render_scene(image_size, seed, split, index)
            entry = coco_image(scene, coco_image_id(split, index))
            images.append(entry)
            annotations.extend(coco_annotations(scene, entry["id"]))
            pixels = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
            _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            (image_folder / entry["file_name"]).write_bytes(encoded.tobytes())
            progress.update()
    annotation_folder = folder / "annotations"
    annotation_folder.mkdir(exist_ok=True)
    text = json.dumps(coco_dataset(images, annotations, split), separators=(",", ":"))
    (annotation_folder / f"instances_{split}2017.json").write_text(text, encoding="utf-8")
    crowds = sum(annotation["iscrowd"] for annotation in annotations)
    return {"images": number, "instances": len(annotations) - crowds, "crowds": crowds}
