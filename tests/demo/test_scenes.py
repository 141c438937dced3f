"""The scenes data set against pycocotools."""

from __future__ import annotations

import contextlib
import io
import itertools

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from demo import write_scenes
from demo.scene import render_scene

NUMBERS = {"train": 14, "val": 7}
SIZE = (256, 192)


@pytest.fixture(scope="module", params=["train", "val"])
def split(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def coco(load, scenes_root, split) -> COCO:
    return load(scenes_root, split)


def test_layout_is_that_of_coco_2017(scenes_root, split, coco):
    assert set(coco.dataset) == {"info", "licenses", "images", "annotations", "categories"}
    assert [item["name"] for item in coco.dataset["categories"]] == ["disk", "triangle", "star"]
    assert len(coco.imgs) == len(coco.dataset["images"]) == NUMBERS[split]
    assert {path.name for path in (scenes_root / f"{split}2017").iterdir()} == {
        image["file_name"] for image in coco.dataset["images"]
    }
    for image in coco.dataset["images"]:
        pixels = cv2.imread(str(scenes_root / f"{split}2017" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3) == (SIZE[1], SIZE[0], 3)
    for annotation in coco.dataset["annotations"]:
        assert annotation["id"] > 0
        assert annotation["image_id"] in coco.imgs
        assert annotation["category_id"] in coco.cats


def test_area_and_box_agree_with_pycocotools(coco):
    for annotation in coco.anns.values():
        encoded = coco.annToRLE(annotation)
        assert annotation["area"] == coco_mask.area(encoded)
        assert annotation["bbox"] == coco_mask.toBbox(encoded).tolist()


def test_annotations_are_what_is_painted(coco, split):
    for index, image_id in enumerate(sorted(coco.imgs)):
        painted = render_scene(SIZE, 3, split, index).objects
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert len(annotations) == len(painted)
        for annotation, item in zip(annotations, painted, strict=True):
            assert annotation["category_id"] == item.category + 1
            assert annotation["iscrowd"] == item.crowd
            assert np.array_equal(coco.annToMask(annotation), item.mask)


def test_written_image_is_the_rendered_one(scenes_root, split, coco):
    for index, image_id in enumerate(sorted(coco.imgs)[:3]):
        path = scenes_root / f"{split}2017" / coco.imgs[image_id]["file_name"]
        read = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(float)
        assert np.abs(read - render_scene(SIZE, 3, split, index).image).mean() < 12.0


def test_mask_borders_are_edges_of_the_image(scenes_root, split, coco):
    on_border, elsewhere = [], []
    for image_id, image in coco.imgs.items():
        pixels = cv2.imread(str(scenes_root / f"{split}2017" / image["file_name"])).astype(
            np.float32
        )
        smooth = cv2.GaussianBlur(pixels, (0, 0), 1.5)
        steps = np.abs(np.diff(smooth, axis=1)).sum(axis=2)
        border = np.zeros(steps.shape, dtype=bool)
        for annotation in coco.loadAnns(coco.getAnnIds(image_id)):
            border |= np.diff(coco.annToMask(annotation).astype(int), axis=1) != 0
        on_border.append(steps[border].mean())
        elsewhere.append(steps[~border].mean())
    assert np.mean(on_border) > 2.0 * np.mean(elsewhere)


def test_scenes_hold_three_to_six_overlapping_objects(coco):
    overlapping = 0
    for image_id in coco.imgs:
        objects = coco.loadAnns(coco.getAnnIds(image_id, iscrowd=False))
        assert 3 <= len(objects) <= 6
        boxes = [item["bbox"] for item in objects]
        ious = coco_mask.iou(boxes, boxes, [0] * len(boxes))
        overlapping += bool((ious - np.eye(len(boxes)) > 0).any())
        masks = [coco.annToMask(item).astype(bool) for item in objects]
        assert not any((one & other).any() for one, other in itertools.combinations(masks, 2))
        assert min(item["area"] for item in objects) >= 64
    assert overlapping >= len(coco.imgs) // 3


def test_every_class_occurs(coco):
    assert {item["category_id"] for item in coco.anns.values()} == {1, 2, 3}


def test_crowds_are_run_lengths(coco):
    crowds = coco.loadAnns(coco.getAnnIds(iscrowd=True))
    assert crowds
    for crowd in crowds:
        counts, size = crowd["segmentation"]["counts"], crowd["segmentation"]["size"]
        assert size == [SIZE[1], SIZE[0]]
        assert sum(counts) == SIZE[0] * SIZE[1]
        column_major = np.repeat(np.arange(len(counts)) % 2, counts).reshape(size, order="F")
        assert np.array_equal(coco.annToMask(crowd), column_major)
        assert cv2.connectedComponents(column_major.astype(np.uint8))[0] > 3


def test_counts_are_those_of_the_annotations(scenes_root, split, coco):
    assert write_scenes(scenes_root, 14, 7, seed=3)[split] == {
        "images": len(coco.imgs),
        "instances": len(coco.getAnnIds(iscrowd=False)),
        "crowds": len(coco.getAnnIds(iscrowd=True)),
    }


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_ground_truth_scores_full_average_precision(load, scenes_root, split, kind):
    # Evaluation rewrites the segmentations in place: the other tests must not see them.
    coco = load(scenes_root, split)
    results = []
    for annotation in coco.loadAnns(coco.getAnnIds(iscrowd=False)):
        result = {key: annotation[key] for key in ("image_id", "category_id")} | {"score": 1.0}
        if kind == "bbox":
            result["bbox"] = annotation["bbox"]
        else:
            result["segmentation"] = coco.annToRLE(annotation)
        results.append(result)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    areas = [a["area"] for a in coco.loadAnns(coco.getAnnIds(iscrowd=False))]
    bounds = [0, 32**2, 96**2, 1e10]  # COCO's small, medium and large; -1 where there is none
    by_area = [
        1.0 if any(low <= area <= high for area in areas) else -1.0
        for low, high in itertools.pairwise(bounds)
    ]
    assert list(evaluation.stats[:6]) == pytest.approx([1.0] * 3 + by_area)


def test_colour_does_not_tell_the_class():
    colors, classes = [], []
    for index in range(60):
        scene = render_scene((128, 96), 0, "train", index)
        for item in scene.objects:
            colors.append(scene.image[item.mask].mean(axis=0))
            classes.append(item.category)
    colors, classes = np.array(colors), np.array(classes)
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (classes[distances.argmin(axis=1)] == classes).mean() < 0.45
