"""CE and mCE as a metric of mmengine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gcp_mm.evaluation.metrics.once_per_sample import once_per_sample
from gcp_mm.evaluation.metrics.relative_metric import RelativeMetric
from gcp_mm.registry import METRICS
from gcp_mm.robustness.measures import corruption_measures


@METRICS.register_module()
class CorruptionError(RelativeMetric):
    """Count right predictions in each cell of :class:`gcp_mm.datasets.ImageNetC`.

    Results are ``<corruption>/<severity>``, the top-1 error of each cell, ``CE/<corruption>`` for
    corruptions with all five severities, and with all fifteen ``mCE`` and ``mean_error``; all in
    percent. The counts are integers, the same for any number of processes. Of tied classes the
    first one is predicted.

    CE and mCE relative to the published AlexNet are of the released 1000 classes only: for other
    data they are left out and the reason is logged, unless ``baseline`` is a network that was
    measured on the same data. With ``num_samples`` n the name is ``mCE_num_samples_<n>``.

    Args:
        clean_error: Error without corruption, a fraction; adds ``relative_mCE``.
        baseline: See :func:`gcp_mm.evaluation.corruption_error`.
        kwargs: Of mmengine's ``BaseMetric``; ``prefix`` defaults to 'imagenet_c'.
    """

    default_prefix = "imagenet_c"

    def __init__(
        self, clean_error: float | None = None, baseline: str = "alexnet", **kwargs: Any
    ) -> None:
        super().__init__(baseline, **kwargs)
        self.clean_error = clean_error

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Compare predictions with classes.

        Args:
            data_batch: Not used.
            data_samples: Predictions, with ``pred_score``, ``gt_label`` and ``sample_idx``.
        """
        for sample in data_samples:
            right = int(sample["pred_score"].argmax()) == int(sample["gt_label"])
            self.results.append((int(sample["sample_idx"]), int(right)))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Turn counts into errors.

        Args:
            results: Index and correctness of each sample.

        Returns:
            The results by name, in percent.

        Raises:
            UserError: If a sample was not evaluated.
        """
        names, number = self.dataset_meta["cells"], self.dataset_meta["files_per_cell"]
        right = once_per_sample(results, len(names) * number).reshape(len(names), number)
        cells = {
            name: {"correct": int(row.sum()), "total": number}
            for name, row in zip(names, right, strict=True)
        }
        found = self.measure(corruption_measures, cells, clean_error=self.clean_error)
        metrics = {
            name: 100 * (cell["total"] - cell["correct"]) / cell["total"]
            for name, cell in cells.items()
        }
        metrics.update({f"CE/{name}": value for name, value in (found["CE"] or {}).items()})
        if found["mean_error"] is not None:
            metrics["mean_error"] = 100 * found["mean_error"]
        return {**metrics, **self.means(found, "mCE", "relative_mCE")}
