"""The evaluator that the detection configs use gives the published numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import METRICS, init_default_scope
from pycocotools.coco import COCO

METRIC = "configs/mask_rcnn_r50_gcpm.py"
NUMBERS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


@pytest.fixture
def metric(repo, kept_scope):
    def build(annotations: Path, kinds: list[str]):
        cfg = Config.fromfile(repo / METRIC)
        init_default_scope("mmdet")
        evaluator = {**cfg.val_evaluator, "ann_file": str(annotations), "metric": kinds}
        built = METRICS.build(evaluator)
        built.dataset_meta = dict(classes=None)
        return built

    return build


def evaluate(metric, detections: list[dict], with_masks: bool) -> dict:
    """Pass detections in COCO's result format through the metric."""
    coco = metric._coco_api
    metric.dataset_meta = dict(classes=[c["name"] for c in coco.loadCats(coco.getCatIds())])
    labels = {category: index for index, category in enumerate(coco.getCatIds())}
    by_image = {image: [] for image in coco.getImgIds()}
    for detection in detections:
        by_image[detection["image_id"]].append(detection)
    samples = []
    for image, found in by_image.items():
        boxes = np.array([d["bbox"] for d in found], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        predictions = dict(
            bboxes=torch.from_numpy(boxes),
            scores=torch.tensor([d["score"] for d in found], dtype=torch.float64),
            labels=torch.tensor([labels[d["category_id"]] for d in found]),
        )
        if with_masks:
            predictions["masks"] = [d["segmentation"] for d in found]
        samples.append(dict(img_id=image, ori_shape=(0, 0), pred_instances=predictions))
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_ground_truth_as_detections_gives_one(shared, metric, split):
    annotations = shared / "data" / "coco354" / "annotations" / f"instances_{split}2017.json"
    coco = COCO(str(annotations))
    detections = [
        {**annotation, "score": 1.0, "segmentation": encode(coco, annotation)}
        for annotation in coco.loadAnns(coco.getAnnIds(iscrowd=False))
    ]
    result = evaluate(metric(annotations, ["bbox", "segm"]), detections, with_masks=True)
    for kind in ("bbox", "segm"):
        for number in NUMBERS:
            assert result[f"coco/{kind}_{number}"] == 1.0


def encode(coco: COCO, annotation: dict) -> dict:
    rle = coco.annToRLE(annotation)
    return dict(size=rle["size"], counts=rle["counts"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_published_numbers_of_the_coco_api(shared, metric, kind, capsys):
    folder = shared / "data" / "cocoapi_val2014_100"
    detections = json.loads((folder / f"instances_val2014_fake{kind}100_results.json").read_text())
    if kind == "segm":
        # mmdet's metric always scores the boxes too; the segmentation results have none.
        detections = [{**d, "bbox": [0.0, 0.0, 1.0, 1.0]} for d in detections]
    built = metric(folder / "instances_val2014_100.json", [kind])
    evaluate(built, detections, with_masks=kind == "segm")
    expected = json.loads((folder / "expected.json").read_text())
    published = list(expected["results"][kind]["published"].values())
    printed = [
        float(line.split("=")[-1])
        for line in capsys.readouterr().out.splitlines()
        if line.strip().startswith("Average ")
    ]
    # Both are rounded to three digits.
    assert printed == published
