"""The truth as predictions gives 1, whatever the file calls, numbers and leaves out."""

import copy
import itertools
import json

import pytest
from coco_files import CLASSES, reorder, truth_as_predictions, write, write_coco
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.registry import TRANSFORMS

from gcp_mm.datasets import CocoDataset
from gcp_mm.datasets.coco_annotations import load
from gcp_mm.datasets.coco_metric import CocoMetric
from gcp_mm.errors import UserError

pytestmark = pytest.mark.usefixtures("nothing_is_known")
NUMBERS = [f"coco/{kind}_mAP" for kind in ("bbox", "segm")]


@pytest.fixture
def truth(tmp_path):
    return write_coco(tmp_path, "val", 4)


def evaluate(path, samples, cls=CocoMetric, **options):
    metric = cls(str(path), **{"metric": ["bbox", "segm"], **options})
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, copy.deepcopy(samples))
    return metric.evaluate(size=len(samples))


def upstream(path, samples, **options):
    return evaluate(path, samples, MMDetCocoMetric, **options)


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_order_of_the_categories_does_not_matter(tmp_path, truth, order):
    path = write(tmp_path, reorder(truth, order), "val")
    result = evaluate(path, truth_as_predictions(truth))
    assert [result[name] for name in NUMBERS] == [1.0, 1.0]


def test_upstream_takes_the_place_for_the_class(tmp_path, truth):
    path = write(tmp_path, reorder(truth, (1, 2, 0)), "val")
    result = upstream(path, truth_as_predictions(truth))
    assert [result[name] for name in NUMBERS] == [0.0, 0.0]


def test_a_detector_that_finds_nothing_has_measures(tmp_path, truth, log):
    path = write(tmp_path, truth, "val")
    samples = truth_as_predictions(truth)
    kinds = dict(metric=["bbox", "segm", "proposal"])
    found = evaluate(path, samples, **kinds)
    for sample in samples:
        predicted = sample["pred_instances"]
        sample["pred_instances"] = {name: values[:0] for name, values in predicted.items()}
    result = evaluate(path, samples, **kinds)
    # Of sizes that no object has nothing is known, whatever is found.
    assert result == {name: min(value, 0.0) for name, value in found.items()}
    assert {0.0, -1.0} == set(result.values())
    assert "nothing was found in any of the 4 evaluated images" in log()
    assert upstream(path, samples, **kinds) == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_numbers_by_class_stand_by_their_names(tmp_path, truth, order):
    path = write(tmp_path, reorder(truth, order), "val")
    samples = truth_as_predictions(truth)
    for sample in samples:
        found = sample["pred_instances"]
        found["bboxes"][found["labels"] == 2] = 0.0
    result = evaluate(path, samples, metric=["bbox"], classwise=True)
    assert [result[f"coco/{name}_precision"] for name in CLASSES] == [1.0, 1.0, 0.0]


def test_class_without_a_category_is_not_measured(tmp_path, truth):
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] != 2]
    samples = truth_as_predictions(truth)
    del truth["categories"][1]
    path = write(tmp_path, truth, "val")
    assert evaluate(path, samples)["coco/segm_mAP"] == 1.0
    with pytest.raises(IndexError):
        upstream(path, samples)


def test_root_category_with_the_name_of_a_class(tmp_path, truth):
    samples = truth_as_predictions(truth)
    truth["categories"].insert(0, dict(id=0, name="disk", supercategory="none"))
    path = write(tmp_path, truth, "val")
    result = evaluate(path, samples)
    assert [result[name] for name in NUMBERS] == [1.0, 1.0]
    assert upstream(path, samples)["coco/bbox_mAP"] < 0.5


def give_bytes(annotation):
    from pycocotools import mask

    polygons = annotation["segmentation"]
    packed = mask.merge(mask.frPyObjects(polygons, 64, 96))
    annotation["segmentation"] = dict(size=[64, 96], counts=str(packed["counts"]))


DAMAGE = {
    "ids from 0": lambda a: a.update(id=a["id"] - 1),
    "the same ids": lambda a: a.update(id=1 + a["id"] % 2),
    "no ids": lambda a: a.pop("id"),
    "ids as text": lambda a: a.update(id=f"a{a['id']}"),
    "image ids as text": lambda a: a.update(image_id=str(a["image_id"])),
    "category ids as text": lambda a: a.update(category_id=str(a["category_id"])),
    "no area": lambda a: a.pop("area"),
    "area null": lambda a: a.update(area=None),
    "area 0": lambda a: a.update(area=0),
    "area as text": lambda a: a.update(area=str(a["area"])),
    "no crowd flag": lambda a: a.pop("iscrowd"),
    "crowd flag null": lambda a: a.update(iscrowd=None),
    "crowd flag false": lambda a: a.update(iscrowd=False),
    "crowd flag as text": lambda a: a.update(iscrowd="0"),
    "no box": lambda a: a.pop("bbox"),
    "box as text": lambda a: a.update(bbox=list(map(str, a["bbox"]))),
    "polygon without list": lambda a: a.update(segmentation=a["segmentation"][0]),
    "points": lambda a: a.update(
        segmentation=[list(p) for p in zip(*[iter(a["segmentation"][0])] * 2, strict=True)]
    ),
    "first part of two points": lambda a: a["segmentation"].insert(0, [1.0, 1.0, 2.0, 2.0]),
    "bytes of Python": give_bytes,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_certain_is_repaired(tmp_path, truth, name):
    samples = truth_as_predictions(truth)
    for annotation in truth["annotations"]:
        DAMAGE[name](annotation)
    path = write(tmp_path, truth, "val")
    before = path.read_bytes()
    result = evaluate(path, samples)
    assert [result[number] for number in NUMBERS] == [1.0, 1.0]
    assert path.read_bytes() == before
    (findings,) = load._checked.values()
    lines = findings.summary()
    assert len(lines) == 1 and "repaired in memory" in lines[0] and str(path) in lines[0]


@pytest.mark.parametrize("name", ["ids from 0", "crowd flag as text"])
def test_upstream_gives_less_without_a_word(tmp_path, truth, name):
    samples = truth_as_predictions(truth)
    for annotation in truth["annotations"]:
        DAMAGE[name](annotation)
    assert upstream(write(tmp_path, truth, "val"), samples)["coco/bbox_mAP"] < 1.0


def test_nothing_to_measure(tmp_path, truth):
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 1
    path = write(tmp_path, truth, "val")
    with pytest.raises(UserError, match=r"nothing to measure.*none of its 8 .*\(8 are crowds"):
        evaluate(path, [])
    del truth["annotations"]
    path = write(tmp_path, truth, "val")
    with pytest.raises(UserError, match="nothing to measure.*none of its 0 annotations"):
        evaluate(path, [])
    metric = CocoMetric(str(path), format_only=True, outfile_prefix=str(tmp_path / "out"))
    metric.dataset_meta = dict(classes=CLASSES)


def test_images_that_were_not_evaluated_are_not_missed(tmp_path, truth):
    path = write(tmp_path, truth, "val")
    samples = truth_as_predictions(truth)[:2]
    assert evaluate(path, samples)["coco/bbox_mAP"] == 1.0
    assert upstream(path, samples)["coco/bbox_mAP"] < 1.0
    samples[0]["img_id"] = 77
    with pytest.raises(UserError, match=r"1 of the 2 evaluated images are not in .*\(ids 77\)"):
        evaluate(path, samples)


@pytest.mark.parametrize("format_only", [False, True])
def test_kept_detections_have_the_ids_of_the_file(tmp_path, truth, format_only):
    samples = truth_as_predictions(truth)
    shuffled = reorder(truth, (2, 0, 1))
    path = write(tmp_path, shuffled, "val")
    options = dict(outfile_prefix=str(tmp_path / "out"), format_only=format_only)
    result = evaluate(path, samples, **options)
    assert format_only or result["coco/bbox_mAP"] == 1.0
    kept = json.loads((tmp_path / "out.bbox.json").read_text())
    expected = [(a["image_id"], a["category_id"]) for a in shuffled["annotations"]]
    assert [(d["image_id"], d["category_id"]) for d in kept] == expected


def test_other_classes_read_the_file_anew(tmp_path, truth):
    metric = CocoMetric(str(write(tmp_path, truth, "val")))
    for classes in (CLASSES, CLASSES[::-1], CLASSES):
        metric.dataset_meta = dict(classes=classes)
        metric.process({}, truth_as_predictions(truth, classes))
        assert metric.evaluate(size=4)["coco/bbox_mAP"] == 1.0


def test_sizes_that_the_data_found_serve_the_measure(tmp_path, truth):
    samples = truth_as_predictions(truth)
    for image in truth["images"]:
        del image["width"], image["height"]
    path = write(tmp_path, truth, "val")
    with pytest.raises(UserError, match="width and height of an image are not given"):
        evaluate(path, samples)
    assert TRANSFORMS.get("LoadImageFromFile") is not None
    CocoDataset(
        data_root=str(tmp_path),
        ann_file=str(path),
        data_prefix=dict(img="val2017/"),
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type="mmdet.LoadImageFromFile")],
        test_mode=True,
    )
    assert evaluate(path, samples)["coco/segm_mAP"] == 1.0
