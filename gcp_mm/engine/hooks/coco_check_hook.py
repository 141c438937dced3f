"""Check COCO-format data that mmdet's own classes read, and that data and measure go together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.registry import HOOKS

if TYPE_CHECKING:
    from mmdet.datasets import CocoDataset
    from mmdet.evaluation import CocoMetric


@HOOKS.register_module()
class CocoCheckHook(Hook):
    """Refuse, before the first batch, COCO-format data whose numbers would be wrong.

    :class:`gcp_mm.datasets.CocoDataset` and ``gcp_mm.CocoMetric`` check and repair what they read.
    Where a config has mmdet's classes and its runner is not started by this package's tools, what
    those would have repaired is refused here. The images of the data have to be those of the
    measure's file, which is named a second time.
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
        for dataset in datasets:
            if _is_plain_dataset(dataset):
                _check_dataset(dataset, mode)
        if mode == "train":
            return
        evaluator = getattr(runner, f"{mode}_evaluator")
        for metric in getattr(evaluator, "metrics", ()):
            if not _is_coco_metric(metric):
                continue
            if type(metric).__module__.startswith("mmdet."):
                _check_metric(metric, mode)
            if len(datasets) == 1:
                _compare_images(datasets[0], metric, mode)


def _innermost(dataset: object) -> Iterator[object]:
    """Yield the data sets inside of mmengine's and mmdet's wrappers."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from _innermost(part)
    elif hasattr(dataset, "dataset"):
        yield from _innermost(dataset.dataset)
    else:
        yield dataset


def _is_plain_dataset(dataset: object) -> bool:
    """Say whether mmdet reads the file as COCO's; LVIS and others have a reading of their own."""
    from mmdet.datasets import CocoDataset

    reads = getattr(type(dataset), "load_data_list", None)
    return reads is CocoDataset.load_data_list and type(dataset).COCOAPI is CocoDataset.COCOAPI


def _is_coco_metric(metric: object) -> bool:
    from mmdet.evaluation import CocoMetric

    return isinstance(metric, CocoMetric) and metric._coco_api is not None


def _check_dataset(dataset: CocoDataset, mode: str) -> None:
    from gcp_mm.datasets.coco_annotations import arrange_categories, load_annotations

    content, findings = load_annotations(dataset.ann_file, None, dataset.backend_args)
    steps = dataset.pipeline.transforms
    findings.refuse_problems(any(getattr(step, "with_mask", False) for step in steps))
    arranged = arrange_categories(
        content, dataset.metainfo["classes"], dataset.ann_file, dataset.test_mode
    )
    if findings.is_changed or tuple(dataset.cat_ids) != arranged.file_ids:
        raise _needs_ours(
            dataset.ann_file, findings.summary(), f"{mode}_dataloader.dataset", "CocoDataset"
        )


def _check_metric(metric: CocoMetric, mode: str) -> None:
    from gcp_mm.datasets.coco_annotations import arrange_categories
    from gcp_mm.datasets.coco_annotations.content import inspect_content

    content, path = metric._coco_api.dataset, f"ann_file of {mode}_evaluator"
    findings = inspect_content(content, path)
    findings.refuse_problems("segm" in metric.metrics)
    classes = metric.dataset_meta["classes"]
    found = metric._coco_api.get_cat_ids(cat_names=classes)
    if findings.is_changed:
        raise _needs_ours(path, findings.summary(), f"{mode}_evaluator", "CocoMetric")
    arranged = arrange_categories(content, classes, path, allow_missing=True)
    # pycocotools sorts the ids, and the table by classes relies on their order.
    if tuple(found) != arranged.file_ids or sorted(found) != found:
        raise _needs_ours(path, [], f"{mode}_evaluator", "CocoMetric")


def _needs_ours(path: str, lines: list[str], key: str, name: str) -> UserError:
    reason = lines[0].partition(": repaired in memory, ")[2] if lines else ""
    what = (
        f"needs repair ({reason.partition(': ')[2]})"
        if reason
        else "lists its categories in another order than metainfo.classes, which mmdet's "
        f"{name} takes for the order of the labels"
    )
    return UserError(f"{path!r} {what}: set {key}.type=gcp_mm.{name}, which goes by the names")


def _compare_images(dataset: object, metric: CocoMetric, mode: str) -> None:
    """Refuse a measure whose file is about other images than the data."""
    if not hasattr(dataset, "get_data_info"):
        return
    listed = metric._coco_api.imgs
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    samples = [sample for sample in samples if "img_id" in sample and "img_path" in sample]
    foreign = [sample for sample in samples if sample["img_id"] not in listed]
    key = f"{mode}_evaluator.ann_file"
    if foreign:
        names = abbreviate(repr(PurePath(sample["img_path"]).name) for sample in foreign)
        raise UserError(
            f"{len(foreign)} of the {len(samples)} images of {mode}_dataloader are not in the file "
            f"of the evaluator ({names}): set {key} to the file of the data"
        )
    for sample in samples:
        ours, theirs = sample["img_path"], listed[sample["img_id"]].get("file_name") or ""
        if PurePath(ours).name != PurePath(theirs.replace("\\", "/")).name and theirs:
            raise UserError(
                f"image {sample['img_id']!r} is {PurePath(ours).name!r} in the data of "
                f"{mode}_dataloader, and {theirs!r} in the file of the evaluator: set {key} to the "
                "file of the data"
            )
