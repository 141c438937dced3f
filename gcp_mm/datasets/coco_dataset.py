"""COCO-format data that are checked, matched by names and compared with their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset as MMDetCocoDataset

from gcp_mm.datasets import coco_annotations as coco
from gcp_mm.datasets.coco_annotations.image_folder import describe_sizes
from gcp_mm.datasets.skip_unreadable import SkipUnreadable
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.first_process import warn
from gcp_mm.registry import DATASETS


class _CompareSize:
    """The first transform of a pipeline, and a comparison of the image with its entry."""

    def __init__(self, load: Callable[[dict], dict | None], ann_file: str) -> None:
        self.load = load
        self.ann_file = ann_file

    def __call__(self, results: dict) -> dict | None:
        loaded = self.load(results)
        shape = (loaded or {}).get("ori_shape")
        stated = (results.get("width"), results.get("height"))
        if shape is not None and None not in stated and tuple(shape[1::-1]) != stated:
            name = Path(results["img_path"]).name
            sizes = describe_sizes(name, stated, tuple(shape[1::-1]), results["img_id"])
            raise UserError(f"{self.ann_file!r}: {sizes}")
        return loaded

    def __repr__(self) -> str:
        return repr(self.load)


@DATASETS.register_module()
class CocoDataset(SkipUnreadable, MMDetCocoDataset):
    """mmdet's ``CocoDataset`` for files of any origin.

    The categories of the file are matched with ``metainfo.classes`` by their names, whatever their
    order and ids. What a file lacks, or has in another form, is repaired in memory where that is
    certain, with one line in the log; the rest is refused before the training or evaluation. Each
    image is compared with the size that its entry states: as many as possible within seconds at
    the start, each when it is loaded.

    Args:
        *args: Passed on to mmdet's ``CocoDataset``.
        allow_missing: Accept classes that the file has no category for. Defaults to ``test_mode``:
            a network can be evaluated where one of its classes does not occur.
        max_unreadable: See :class:`gcp_mm.datasets.skip_unreadable.SkipUnreadable`; an image of
            another size than stated counts as unreadable.
        **kwargs: Passed on to mmdet's ``CocoDataset``.

    Raises:
        UserError: If the file, the classes and the images do not go together.
    """

    def __init__(self, *args: Any, allow_missing: bool | None = None, **kwargs: Any) -> None:
        self.allow_missing = allow_missing
        super().__init__(*args, **kwargs)

    def _join_prefix(self) -> None:
        # mmengine calls it first, and its default names no folder that mmdet asks for.
        if not isinstance(self.data_prefix, Mapping) or "img" not in self.data_prefix:
            raise UserError(
                f"data_prefix={self.data_prefix!r} of {self.ann_file!r} has no folder of the "
                "images: write data_prefix=dict(img='train2017/'), or dict(img='') for data_root"
            )
        super()._join_prefix()

    def full_init(self) -> None:
        """Load the annotations, and prepare the comparison of each image with its entry."""
        if self._fully_initialized:
            return
        super().full_init()
        transforms = self.pipeline.transforms
        if transforms and not isinstance(transforms[0], _CompareSize):
            transforms[0] = _CompareSize(transforms[0], self.ann_file)

    def load_data_list(self) -> list[dict]:
        """Return the images and their objects, if file, classes and images go together."""
        content, findings = coco.load_annotations(self.ann_file, self._images(), self.backend_args)
        masks = [step for step in self.pipeline.transforms if getattr(step, "with_mask", False)]
        polygons_only = any(not getattr(step, "poly2mask", True) for step in masks)
        findings.refuse_problems(bool(masks), polygons_only)
        self._refuse_missing(findings, len(content["images"]))
        allow = self.test_mode if self.allow_missing is None else self.allow_missing
        arranged = coco.arrange_categories(content, self._classes(), self.ann_file, allow)
        for remark in arranged.remarks:
            warn(remark)
        # The class reads the file with this; here it has been read already.
        api = coco.coco_api(content)
        self.COCOAPI = lambda _: api
        try:
            return super().load_data_list()
        finally:
            del self.COCOAPI

    def filter_data(self) -> list[dict]:
        """Leave images out as mmdet does, and refuse data without anything to learn."""
        kept = super().filter_data()
        if self.test_mode or any(
            not instance["ignore_flag"] for sample in kept for instance in sample["instances"]
        ):
            return kept
        instances = [i for sample in self.data_list for i in sample["instances"]]
        crowds = sum(instance["ignore_flag"] for instance in instances)
        raise UserError(
            f"there is nothing to learn in {self.ann_file!r}: of {len(self.data_list)} images with "
            f"{len(instances)} usable annotations of the classes, {crowds} of them crowds (iscrowd "
            f"1), filter_cfg={self.filter_cfg} keeps {len(kept)} images without an object. Mark "
            "objects with iscrowd 0, annotate them, or name another file (ann_file)"
        )

    def _classes(self) -> Sequence[str] | None:
        if "CLASSES" in self._metainfo:
            raise UserError(
                "metainfo has CLASSES, as mmdet 2 called it, which nothing reads: write "
                f"metainfo=dict(classes={tuple(self._metainfo['CLASSES'])})"
            )
        return self._metainfo.get("classes")

    def _images(self) -> coco.ImageFolder | None:
        """Return the folder of the images, if it is one of this machine and they are loaded."""
        folder = self.data_prefix["img"]
        backend = (self.backend_args or {}).get("backend", "local")
        if "://" in folder or backend != "local" or not self.pipeline.transforms:
            return None
        load = self.pipeline.transforms[0]
        if (getattr(load, "backend_args", None) or {}).get("backend", "local") != "local":
            return None
        color = str(getattr(load, "color_type", "color"))
        # mmcv's loader and this package's have a setting each.
        is_lying = color == "unchanged" or color.endswith("ignore_orientation")
        is_lying = is_lying or getattr(load, "ignore_orientation", False)
        # The one decoder of mmcv that does not look at the tag.
        is_lying = is_lying or getattr(load, "imdecode_backend", None) == "turbojpeg"
        return coco.ImageFolder(folder, partial(_size, load), not is_lying)

    def _refuse_missing(self, findings: coco.Findings, number: int) -> None:
        """Refuse images that do not exist, or that are known to be unreadable."""
        gone = [*findings.missing, *findings.unreadable]
        allowed = 0 if self.test_mode else min(self.max_unreadable, number - 1)
        if len(gone) <= allowed:
            return
        what = (
            f"{len(findings.missing)} of {number} images of {self.ann_file!r} do not exist in "
            f"{self.data_prefix['img']!r}: {abbreviate(map(repr, findings.missing))}"
            if findings.missing
            else f"{len(gone)} of {number} images of {self.ann_file!r} cannot be read: "
            f"{abbreviate(map(repr, gone))}"
        )
        rest = (
            "Evaluation skips no image"
            if self.test_mode
            else f"Training skips at most max_unreadable={self.max_unreadable} of the data set"
        )
        hint = f" ({findings.hint})" if findings.hint and findings.missing else ""
        raise UserError(
            f"{what}{hint}. {rest}: put the images there, set data_prefix.img, or take their "
            "entries out of the file"
        )


def _size(load: Callable[[dict], dict], path: str, image: Mapping) -> tuple[int, int]:
    """Return width and height of an image as a transform loads it."""
    loaded = load({"img_path": path, "img_id": image.get("id")})
    height, width = loaded["ori_shape"][:2]
    return width, height
