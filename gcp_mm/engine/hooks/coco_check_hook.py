"""Check COCO-format data that mmdet's own classes read, and that data and measure go together."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.first_process import on_first_process, warn
from gcp_mm.registry import HOOKS

if TYPE_CHECKING:
    from mmdet.datasets import CocoDataset
    from mmdet.evaluation import CocoMetric


@HOOKS.register_module()
class CocoCheckHook(Hook):
    """Refuse, before the first batch, COCO-format data whose numbers would be wrong.

    :class:`gcp_mm.datasets.CocoDataset` and ``gcp_mm.CocoMetric`` check and repair what they read.
    Where a config has mmdet's classes, or others derived from them, and its runner is not started
    by this package's tools, the first process compares what they have read with the repaired file.
    Data that are the same pass, with one line in the log; others are refused. The images of the
    data have to be those of the measure's file, which is named a second time.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the data that are trained on, and those of the validation."""
        self._check(runner, "train")
        if runner.val_loop is not None:
            self._check(runner, "val")

    def before_test(self, runner: Runner) -> None:
        """Check the data that are tested on."""
        self._check(runner, "test")

    def _check(self, runner: Runner, mode: str) -> None:
        # What mmdet has not made is none of its classes.
        if "mmdet.datasets.coco" not in sys.modules:
            return
        datasets = list(_innermost(getattr(runner, f"{mode}_dataloader").dataset))
        evaluator = None if mode == "train" else getattr(runner, f"{mode}_evaluator")
        metrics = [metric for metric in getattr(evaluator, "metrics", ()) if _is_coco(metric)]
        on_first_process(lambda: _check(datasets, metrics, mode))


def _check(datasets: list, metrics: list[CocoMetric], mode: str) -> None:
    for dataset in datasets:
        if _is_plain_dataset(dataset):
            _check_dataset(dataset, mode)
    for metric in metrics:
        if type(metric).__module__.startswith("mmdet."):
            _check_metric(metric, mode)
        if len(datasets) == 1:
            _compare_images(datasets[0], metric, mode)


def _innermost(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside of mmengine's and mmdet's wrappers."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from _innermost(part)
    elif hasattr(dataset, "dataset"):
        yield from _innermost(dataset.dataset)
    else:
        yield dataset


def _is_plain_dataset(dataset: Any) -> bool:
    """Say whether mmdet reads the file as COCO's; LVIS and others have a reading of their own."""
    from mmdet.datasets import CocoDataset

    reads = getattr(type(dataset), "load_data_list", None)
    return reads is CocoDataset.load_data_list and type(dataset).COCOAPI is CocoDataset.COCOAPI


def _is_coco(metric: object) -> bool:
    from mmdet.evaluation import CocoMetric

    return isinstance(metric, CocoMetric) and metric._coco_api is not None


def _check_dataset(dataset: CocoDataset, mode: str) -> None:
    from gcp_mm.datasets.coco_annotations import arrange_categories, load_annotations

    path = dataset.ann_file
    content, findings = load_annotations(path, None, dataset.backend_args, alone=True)
    steps = dataset.pipeline.transforms
    with_masks = any(getattr(step, "with_mask", False) for step in steps)
    findings.refuse_problems(with_masks)
    arranged = arrange_categories(content, dataset.metainfo["classes"], path, dataset.test_mode)
    is_ordered = tuple(dataset.cat_ids) == arranged.file_ids
    if (not findings.is_changed and is_ordered) or _are_same(dataset, content, with_masks):
        return
    name = type(dataset).__name__
    remedy = (
        f"derive {name} from gcp_mm.datasets.CocoDataset"
        if not type(dataset).__module__.startswith("mmdet.")
        else f"set {mode}_dataloader.dataset.type=gcp_mm.CocoDataset"
    )
    raise _needs_ours(path, findings.summary() if findings.is_changed else [], name, remedy)


def _are_same(dataset: CocoDataset, content: dict, with_masks: bool) -> bool:
    """Say whether a data set has read what the repaired content says."""
    from gcp_mm.datasets.coco_annotations import coco_api

    repaired = copy.copy(dataset)
    api = coco_api(content)
    repaired.COCOAPI = lambda _: api
    repaired.data_list = repaired.load_data_list()
    expected = {sample["img_id"]: sample for sample in repaired.filter_data()}
    number = len(dataset)
    if number > len(expected) or (dataset._indices is None and number < len(expected)):
        return False
    for sample in map(dataset.get_data_info, range(number)):
        other = expected.get(sample["img_id"])
        if other is None or not _are_alike(sample, other, with_masks):
            return False
    return True


def _are_alike(sample: dict, other: dict, with_masks: bool) -> bool:
    """Compare two samples, of which the first one has its number in the data set as well."""
    ours, theirs = sample["instances"], other["instances"]
    return (
        len(ours) == len(theirs)
        and all(other[key] == sample.get(key) for key in other if key != "instances")
        and all(
            {**one, "mask": None} == {**two, "mask": None}
            and (not with_masks or _polygons(one.get("mask")) == _polygons(two.get("mask")))
            for one, two in zip(ours, theirs, strict=True)
        )
    )


def _polygons(mask: object) -> object:
    """Return what mmdet's LoadAnnotations takes of a mask."""
    if not isinstance(mask, list) or not all(isinstance(part, list) for part in mask):
        return mask
    return [part for part in mask if len(part) >= 6]


# Values of annotations that the measure looks up in what has been repaired in memory.
_LOOKED_UP = {("annotations", key) for key in ("area", "bbox", "ignore", "iscrowd", "segmentation")}


def _check_metric(metric: CocoMetric, mode: str) -> None:
    from gcp_mm.datasets.coco_annotations import arrange_categories
    from gcp_mm.datasets.coco_annotations.content import inspect_content

    content, path = metric._coco_api.dataset, f"ann_file of {mode}_evaluator"
    findings = inspect_content(content, path)
    findings.refuse_problems("segm" in metric.metrics)
    remedy = f"set {mode}_evaluator.type=gcp_mm.CocoMetric"
    classes = metric.dataset_meta["classes"]
    found = metric._coco_api.get_cat_ids(cat_names=classes)
    # Others are in its index as they were. What is left out belongs to no listed image.
    if findings.renumber or not findings.patches.keys() <= _LOOKED_UP:
        raise _needs_ours(path, findings.summary(), "CocoMetric", remedy)
    for line in findings.summary() if findings.is_changed else ():
        warn(line)
    arranged = arrange_categories(content, classes, path, allow_missing=True)
    # pycocotools sorts the ids, and the table by classes relies on their order.
    if tuple(found) != arranged.file_ids or sorted(found) != found:
        raise _needs_ours(path, [], "CocoMetric", remedy)


def _needs_ours(path: str, lines: list[str], name: str, remedy: str) -> UserError:
    reason = lines[0].partition(": repaired in memory, ")[2] if lines else ""
    what = (
        f"needs repair ({reason.partition(': ')[2]})"
        if reason
        else "lists its categories in another order than metainfo.classes, which mmdet's "
        f"{name} takes for the order of the labels"
    )
    return UserError(f"{path!r} {what}: {remedy}, which goes by the names")


def _compare_images(dataset: Any, metric: CocoMetric, mode: str) -> None:
    """Refuse a measure whose file is about other images than the data."""
    if not hasattr(dataset, "get_data_info"):
        return
    listed = metric._coco_api.imgs
    key = f"{mode}_evaluator.ann_file"
    number = 0
    foreign: list[str] = []
    renamed = None
    # One after the other: all together may be as large as the file.
    for sample in map(dataset.get_data_info, range(len(dataset))):
        if "img_id" not in sample or "img_path" not in sample:
            continue
        number += 1
        identifier, ours = sample["img_id"], PurePath(sample["img_path"]).name
        if identifier not in listed:
            foreign.append(ours)
            continue
        theirs = listed[identifier].get("file_name") or ""
        if renamed is None and theirs and ours != PurePath(theirs.replace("\\", "/")).name:
            renamed = (identifier, ours, theirs)
    if foreign:
        raise UserError(
            f"{len(foreign)} of the {number} images of {mode}_dataloader are not in the file of "
            f"the evaluator ({abbreviate(map(repr, foreign))}): set {key} to the file of the data"
        )
    if renamed is not None:
        raise UserError(
            f"image {renamed[0]!r} is {renamed[1]!r} in the data of {mode}_dataloader, and "
            f"{renamed[2]!r} in the file of the evaluator: set {key} to the file of the data"
        )
