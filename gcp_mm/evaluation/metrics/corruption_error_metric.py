"""CE and mCE as a metric of mmengine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from gcp_mm.evaluation.corruption_error import corruption_error
from gcp_mm.evaluation.corruptions import SEVERITIES
from gcp_mm.evaluation.metrics.once_per_sample import once_per_sample
from gcp_mm.registry import METRICS


@METRICS.register_module()
class CorruptionError(BaseMetric):
    """Count right predictions in each cell of :class:`gcp_mm.datasets.ImageNetC`.

    Results are ``<corruption>/<severity>``, the top-1 error of each cell, ``CE/<corruption>`` for
    corruptions with all five severities, and with all fifteen ``mCE`` and ``mean_error``; all in
    percent. The counts are integers, the same for any number of processes. Of tied classes the
    first one is predicted.

    Args:
        clean_error: Error without corruption, a fraction; adds ``relative_mCE``.
        baseline: See :func:`gcp_mm.evaluation.corruption_error`.
        collect_device: As in mmengine's ``BaseMetric``.
        prefix: As there. Defaults to 'imagenet_c'.
        collect_dir: As there.
    """

    default_prefix = "imagenet_c"

    def __init__(
        self,
        clean_error: float | None = None,
        baseline: str = "alexnet",
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.clean_error, self.baseline = clean_error, baseline

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
        cells, number = self.dataset_meta["cells"], self.dataset_meta["files_per_cell"]
        right = once_per_sample(results, len(cells) * number).reshape(len(cells), number)
        errors = dict(zip(cells, 1 - right.sum(axis=1, dtype=np.int64) / number, strict=True))
        by_corruption: dict[str, list[float]] = {}
        for cell, error in errors.items():
            by_corruption.setdefault(cell.partition("/")[0], []).append(float(error))
        complete = {k: row for k, row in by_corruption.items() if len(row) == len(SEVERITIES)}
        found = corruption_error(complete, self.clean_error, self.baseline)
        metrics = {cell: 100 * float(error) for cell, error in errors.items()}
        metrics.update({f"CE/{name}": value for name, value in found["CE"].items()})
        if found["mCE"] is not None:
            metrics.update(mCE=found["mCE"], mean_error=100 * found["mean_error"])
        if found["relative_mCE"] is not None:
            metrics["relative_mCE"] = found["relative_mCE"]
        return metrics
