"""COCO's measures on files of any origin, with classes matched by their names."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from mmdet.evaluation import CocoMetric as MMDetCocoMetric

from gcp_mm.datasets import coco_annotations as coco
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.first_process import warn
from gcp_mm.registry import METRICS


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """mmdet's ``CocoMetric``, whose categories are those of the data by name.

    ``ann_file`` is checked and repaired as :class:`gcp_mm.datasets.CocoDataset` does it, and its
    categories are put into the order of the classes, of which mmdet takes positions. Images that
    were not evaluated are not counted as ones in which nothing was found. A detector that finds
    nothing in any image has an AP of 0, where mmdet has no measures.

    Args:
        ann_file: The annotation file; None takes the annotations of the data.
        *args: Passed on to mmdet's ``CocoMetric``.
        backend_args: See mmengine's ``get``.
        **kwargs: Passed on to mmdet's ``CocoMetric``.

    Raises:
        UserError: If the file cannot be right, or there is nothing to measure.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        *args: object,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(None, *args, backend_args=backend_args, **kwargs)
        self.ann_file = ann_file
        self._arranged: tuple[tuple[str, ...], coco.Arrangement] | None = None
        if ann_file is not None:
            self._coco_api = coco.coco_api(self._load(ann_file))

    def _load(self, ann_file: str) -> dict:
        content, findings = coco.load_annotations(ann_file, None, self.backend_args)
        findings.refuse_problems("segm" in self.metrics)
        return content

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data that are evaluated."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        classes = dataset_meta.get("classes")
        if self.ann_file is None or classes is None:
            return
        if self._arranged is not None:
            if self._arranged[0] == tuple(classes):
                return
            # The content has been put into the order of other classes.
            self._coco_api = coco.coco_api(self._load(self.ann_file))
        content = self._coco_api.dataset
        arranged = coco.arrange_categories(content, classes, self.ann_file, allow_missing=True)
        if not arranged.objects and not self.format_only:
            crowds = sum(annotation["iscrowd"] for annotation in content["annotations"])
            raise UserError(
                f"there is nothing to measure in {self.ann_file!r}: none of its "
                f"{len(content['annotations'])} annotations is an object of the classes ({crowds} "
                "are crowds, iscrowd 1). Name the file with the annotations (ann_file), or set "
                "format_only=True and outfile_prefix to write detections alone"
            )
        self._coco_api = coco.coco_api(content)
        self._arranged = (tuple(classes), arranged)
        self.cat_ids = list(arranged.ids)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the measures over the images that were evaluated."""
        if self.ann_file is not None:
            listed = self._coco_api.get_img_ids()
            seen = {prediction["img_id"] for _, prediction in results}
            foreign = seen - set(listed)
            if foreign:
                raise UserError(
                    f"{len(foreign)} of the {len(seen)} evaluated images are not in "
                    f"{self.ann_file!r} (ids {abbreviate(map(repr, sorted(foreign, key=str)))}): "
                    "set ann_file of the evaluator to the file of the data"
                )
            self.img_ids = [identifier for identifier in listed if identifier in seen]
            if len(self.img_ids) < len(listed):
                warn(
                    f"measured on {len(self.img_ids)} of the {len(listed)} images of "
                    f"{self.ann_file!r}, those that were evaluated"
                )
        if not any(len(prediction["bboxes"]) for _, prediction in results):
            warn(f"nothing was found in any of the {len(results)} evaluated images")
        return super().compute_metrics(results)

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        """Write the detections; a file that is kept has the category ids of the annotation file.

        Those that are returned have the ids that the categories are measured with.
        """
        arranged = self._arranged and self._arranged[1]
        if self.outfile_prefix is None or not arranged or arranged.ids == arranged.file_ids:
            return super().results2json(results, outfile_prefix)
        self.cat_ids = list(arranged.file_ids)
        files = super().results2json(results, outfile_prefix)
        self.cat_ids = list(arranged.ids)
        if self.format_only:
            return files
        self._measured = tempfile.TemporaryDirectory()
        return super().results2json(results, f"{self._measured.name}/results")
