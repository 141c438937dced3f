"""Small COCO-format data sets, and what pycocotools makes of them."""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

CLASSES = ("disk", "triangle", "star")
WIDTH, HEIGHT = 96, 64


def outline(x: int, y: int, side: int) -> list[float]:
    """Return a polygon with more than its corners: a box of `side`, without one corner."""
    right, bottom, cut = x + side, y + side, side // 2
    return [float(n) for n in (x, y, right, y, right, bottom - cut, right - cut, bottom, x, bottom)]


def write_coco(root: Path, split: str = "train", number: int = 4) -> dict:
    """Write images with two objects each, and their file; return its content."""
    rng = np.random.default_rng(len(split))
    images, annotations = [], []
    folder = root / f"{split}2017"
    folder.mkdir(parents=True)
    for index in range(number):
        picture = Image.new("RGB", (WIDTH, HEIGHT), tuple(rng.integers(0, 80, 3).tolist()))
        name = f"{split}_{index}.png"
        images.append(dict(id=index + 1, file_name=name, width=WIDTH, height=HEIGHT))
        for place in range(2):
            category = (index + place) % 3
            side = int(rng.integers(16, 40))
            polygon = outline(4 + 44 * place, 4 + index, side)
            fill = tuple(200 if channel == category else 0 for channel in range(3))
            ImageDraw.Draw(picture).polygon(polygon, fill=fill)
            box = [float(4 + 44 * place), float(4 + index), float(side), float(side)]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=index + 1,
                    category_id=category + 1,
                    bbox=box,
                    area=float(side * side - (side // 2) ** 2 / 2),
                    iscrowd=0,
                    segmentation=[polygon],
                )
            )
        picture.save(folder / name)
    categories = [
        dict(id=number, name=name, supercategory="shape") for number, name in enumerate(CLASSES, 1)
    ]
    content = dict(images=images, annotations=annotations, categories=categories)
    write(root, content, split)
    return copy.deepcopy(content)


def write(root: Path, content: object, split: str = "train") -> Path:
    """Write an annotation file."""
    path = root / "annotations" / f"instances_{split}2017.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def reorder(content: dict, order: tuple[int, ...]) -> dict:
    """Return the same data with the categories in another order, and numbered in that order."""
    content = copy.deepcopy(content)
    content["categories"] = [content["categories"][place] for place in order]
    for number, category in enumerate(content["categories"], 5):
        category["id"] = number
    ids = dict(zip([place + 1 for place in order], range(5, 5 + len(order)), strict=True))
    for annotation in content["annotations"]:
        annotation["category_id"] = ids[annotation["category_id"]]
    return content


def truth_as_predictions(content: dict, classes: tuple[str, ...] = CLASSES) -> list[dict]:
    """Return what a perfect detector of these classes predicts on an intact file."""
    from pycocotools import mask

    names = {category["id"]: category["name"] for category in content["categories"]}
    samples = []
    for image in content["images"]:
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        size = (image["height"], image["width"])
        boxes = torch.tensor([a["bbox"] for a in own], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        predictions = dict(
            bboxes=boxes,
            scores=torch.ones(len(own), dtype=torch.float64),
            labels=torch.tensor([classes.index(names[a["category_id"]]) for a in own]),
            masks=[mask.merge(mask.frPyObjects(a["segmentation"], *size)) for a in own],
        )
        samples.append(dict(img_id=image["id"], ori_shape=size, pred_instances=predictions))
    return samples
