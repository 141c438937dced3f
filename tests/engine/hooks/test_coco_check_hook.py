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
from gcp_mm.engine.hooks import CocoCheckHook
from gcp_mm.errors import UserError
from gcp_mm.evaluation.metrics.coco_metric import CocoMetric


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

    return run


@pytest.mark.parametrize("data", [MMDetCocoDataset, CocoDataset])
@pytest.mark.parametrize("measure", [MMDetCocoMetric, CocoMetric])
@pytest.mark.parametrize("wrap", [False, True])
def test_intact_data_pass(check, content, data, measure, wrap):
    check(content, data=data, measure=measure, wrap=wrap)


ORDER = "lists its categories in another order than metainfo.classes"


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


def test_ids_that_upstream_miscounts(check, content):
    for annotation in content["annotations"]:
        annotation["id"] -= 1
    match = r"needs repair \(annotation ids counted from 1.*set test_dataloader.dataset.type="
    with pytest.raises(UserError, match=match):
        check(content)
    with pytest.raises(UserError, match=r"needs repair.*set test_evaluator.type="):
        check(content, data=CocoDataset)


def test_names_that_differ(check, content):
    content["categories"][0]["name"] = "Disk"
    with pytest.raises(UserError, match="capitals or blanks: 'disk' and 'Disk'"):
        check(content)


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
