"""Runners that no tool of this package starts refuse what would give wrong numbers."""

import copy
import json
from types import SimpleNamespace

import pytest
from coco_files import CLASSES, reorder, write, write_coco
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmengine.evaluator import Evaluator

from gcp_mm.datasets import CocoDataset
from gcp_mm.datasets.coco_metric import CocoMetric
from gcp_mm.engine.hooks import CocoCheckHook, coco_check_hook
from gcp_mm.errors import UserError


@pytest.fixture
def content(tmp_path):
    return write_coco(tmp_path, "val")


@pytest.fixture
def check(tmp_path):
    """Test data and a measure as mmengine's loop builds them, and check them."""

    def run(content, measured=None, data=MMDetCocoDataset, measure=MMDetCocoMetric, wrap=False):
        path = write(tmp_path, content, "val")
        other = path.with_name("measured.json")
        other.write_text(json.dumps(content if measured is None else measured))
        dataset = data(
            data_root=str(tmp_path),
            ann_file="annotations/instances_val2017.json",
            data_prefix=dict(img="val2017/"),
            metainfo=dict(classes=CLASSES),
            test_mode=True,
        )
        metric = measure(str(other), metric="bbox")
        evaluator = Evaluator([metric])
        evaluator.dataset_meta = dataset.metainfo
        wrapped = SimpleNamespace(dataset=SimpleNamespace(datasets=[dataset])) if wrap else dataset
        loader = SimpleNamespace(dataset=wrapped)
        CocoCheckHook().before_test(
            SimpleNamespace(test_dataloader=loader, test_evaluator=evaluator)
        )
        return metric

    return run


@pytest.mark.parametrize("data", [MMDetCocoDataset, CocoDataset])
@pytest.mark.parametrize("measure", [MMDetCocoMetric, CocoMetric])
@pytest.mark.parametrize("wrap", [False, True])
def test_intact_data_pass(check, content, data, measure, wrap):
    check(content, data=data, measure=measure, wrap=wrap)


ORDER = "lists its categories in another order than metainfo.classes"


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [False, True])
def test_order_that_upstream_takes_for_the_classes(check, content, wrap):
    shuffled = reorder(content, (1, 2, 0))
    with pytest.raises(UserError, match=f"{ORDER}.*test_dataloader.dataset.type=gcp_mm.CocoData"):
        check(shuffled, wrap=wrap)
    with pytest.raises(UserError, match=f"{ORDER}.*set test_evaluator.type=gcp_mm.CocoMetric"):
        check(shuffled, data=CocoDataset, wrap=wrap)
    check(shuffled, data=CocoDataset, measure=CocoMetric, wrap=wrap)


def test_order_of_the_measure_alone(check, content):
    with pytest.raises(UserError, match=f"ann_file of test_evaluator' {ORDER}"):
        check(content, reorder(content, (2, 1, 0)))


class OwnDataset(MMDetCocoDataset):
    """A data set of somebody's own."""


def number_from_zero(content):
    for annotation in content["annotations"]:
        annotation["id"] -= 1


HARMLESS = {
    "ids from 0": number_from_zero,
    "flags": lambda c: [a.update(iscrowd=False, ignore=None) for a in c["annotations"]],
    "no flags": lambda c: [a.pop("iscrowd") for a in c["annotations"]],
    "sizes": lambda c: [i.update(width=float(i["width"])) for i in c["images"]],
    "ids": lambda c: [a.update(category_id=float(a["category_id"])) for a in c["annotations"]],
    "others": lambda c: c["annotations"][3].update(image_id=77),
    "twice": lambda c: c["images"].append(dict(c["images"][0])),
}
WRONG = {
    "flags": (lambda c: [a.update(iscrowd="0") for a in c["annotations"]], "iscrowd made 0 or 1"),
    "no area": (lambda c: c["annotations"][2].update(area=0), "area computed from"),
    "ids": (
        lambda c: [a.update(category_id=str(a["category_id"])) for a in c["annotations"]],
        "category_id made a whole number",
    ),
    "images": (
        lambda c: [a.update(image_id=str(a["image_id"])) for a in c["annotations"]],
        "image_id made a whole number",
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("data", [MMDetCocoDataset, OwnDataset])
@pytest.mark.parametrize("wrap", [False, True])
def test_repairs_that_change_nothing_pass(check, content, name, data, wrap):
    HARMLESS[name](content)
    check(content, data=data, measure=CocoMetric, wrap=wrap)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (MMDetCocoDataset, "set test_dataloader.dataset.type=gcp_mm.CocoDataset"),
        (OwnDataset, "derive OwnDataset from gcp_mm.datasets.CocoDataset"),
    ],
)
def test_what_upstream_reads_as_something_else(check, content, name, data, remedy):
    change, reason = WRONG[name]
    change(content)
    with pytest.raises(UserError, match=rf"needs repair \({reason}.*{remedy}"):
        check(content, data=data, measure=CocoMetric)


@pytest.mark.slow
def test_masks_that_upstream_leaves_out_count_where_masks_are_read(content, tmp_path):
    content["annotations"][0]["segmentation"].append([1.0, 2.0, 3.0, 4.0])
    content["annotations"][1]["segmentation"] = content["annotations"][1]["segmentation"][0]
    write(tmp_path, content, "val")
    for masks in (False, True):
        dataset = MMDetCocoDataset(
            data_root=str(tmp_path),
            ann_file="annotations/instances_val2017.json",
            data_prefix=dict(img="val2017/"),
            metainfo=dict(classes=CLASSES),
            pipeline=[dict(type="mmdet.LoadAnnotations", with_mask=masks)],
        )
        runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), val_loop=None)
        if masks:
            with pytest.raises(UserError, match=r"needs repair \(parts of fewer than three points"):
                CocoCheckHook().before_train(runner)
        else:
            CocoCheckHook().before_train(runner)


def test_measure_that_upstream_miscounts(check, content):
    number_from_zero(content)
    with pytest.raises(UserError, match=r"needs repair \(annotation ids.*set test_evaluator.type="):
        check(content)


def test_values_of_the_measure_are_repaired_in_memory(check, content):
    measured = copy.deepcopy(content)
    for annotation in measured["annotations"]:
        annotation["iscrowd"] = "0"
        del annotation["area"]
    metric = check(content, measured)
    own = metric._coco_api.load_anns(metric._coco_api.get_ann_ids())
    assert own == content["annotations"]


def test_first_process_decides_for_all(check, content, monkeypatch):
    """Another process reads nothing, and says what the first one has sent."""
    number_from_zero(content)
    sent = UserError("what the first process found")

    def others(function):
        raise sent

    monkeypatch.setattr(coco_check_hook, "on_first_process", others)
    monkeypatch.setattr(coco_check_hook, "_check", None)
    with pytest.raises(UserError, match="what the first process found"):
        check(content)


def test_names_that_differ(check, content):
    content["categories"][0]["name"] = "Disk"
    with pytest.raises(UserError, match="capitals or blanks: 'disk' and 'Disk'"):
        check(content)


@pytest.mark.slow
@pytest.mark.parametrize("measure", [MMDetCocoMetric, CocoMetric])
def test_measure_of_other_images(check, content, measure):
    other = {**content, "images": [{**i, "file_name": "x.png"} for i in content["images"]]}
    with pytest.raises(UserError, match=r"image 1 is 'val_0.png' in the data.*'x.png'.*ann_file"):
        check(content, other, measure=measure)
    other = copy.deepcopy(content)
    for image in other["images"]:
        image["id"] += 50
    for annotation in other["annotations"]:
        annotation["image_id"] += 50
    with pytest.raises(UserError, match="4 of the 4 images of test_dataloader are not in the file"):
        check(content, other, measure=measure)


def test_data_of_other_kinds_pass():
    CocoCheckHook().before_train(
        SimpleNamespace(
            train_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo={})), val_loop=None
        )
    )
