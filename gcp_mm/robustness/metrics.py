"""CE, mCE, FP, mFR, T5D and mT5D as metrics of a Runner, for trees like ImageNet-C and ImageNet-P.

``tools/test_robustness.py`` measures the same cell by cell, and can be continued.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from gcp_mm.errors import UserError
from gcp_mm.registry import METRICS
from gcp_mm.robustness.evaluation.classifier import ordered_top5
from gcp_mm.robustness.evaluation.comparability import MEASURES
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.measures.corruption_error import check_number
from gcp_mm.robustness.measures.perturbation_robustness import measure_clips
from gcp_mm.robustness.names import PERTURBATIONS, folder_name


class RelativeMetric(BaseMetric):
    """A metric of :class:`gcp_mm.robustness.data.tree.RobustnessTree`.

    Args:
        baseline: See :func:`gcp_mm.robustness.measures.load_baseline`.
        kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.
    """

    dataset: ClassVar[str]

    def __init__(self, baseline: str | Path | Baseline = "alexnet", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Here, so that no evaluation ends with a wrong path.
        self.baseline = load_baseline(baseline, self.dataset)
        self._said: set[str] = set()

    def scores(self, data_samples: Sequence[dict]) -> torch.Tensor:
        """Stack the scores of a batch; what is no number would have an order that never changes."""
        scores = torch.stack([sample["pred_score"] for sample in data_samples])
        if broken := int((~torch.isfinite(scores)).any(dim=1).sum()):
            raise UserError(
                f"the scores of {broken} of {len(scores)} images are not finite: compute in "
                "float32, or use another checkpoint"
            )
        return scores

    def measure(self, cells: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
        """Compute what the data allow, as for a result file, and log once what they do not."""
        settings = {**self.dataset_meta["settings"], **settings}
        found = MEASURES[self.dataset](cells, settings, self.baseline)
        reasons = [
            f"no {mean}: {reason}"
            for mean in ("mCE", "mFR", "mT5D")
            if (reason := found.get(f"{mean}_reason"))
        ]
        if found["not_comparable"]:
            others = ", ".join(found["not_comparable"])
            reasons.append(f"not comparable with published numbers: {others}")
        for text in reasons:
            if text not in self._said:
                self._said.add(text)
                print_log(f"{type(self).__name__}: {text}", "current", logging.WARNING)
        return found

    def means(self, found: Mapping[str, Any], *names: str) -> dict[str, float]:
        """Choose the means that may be stated."""
        number = self.dataset_meta["settings"]["num_samples"]
        mark = "" if number is None else f"_num_samples_{number}"
        return {f"{name}{mark}": found[name] for name in names if found[name] is not None}


def once_per_sample(results: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """Order rows of integers by their first, the sample, and drop it: (size, ...) int64.

    Samplers of several processes repeat samples until each process has equally many.
    """
    rows = np.asarray(results, np.int64).reshape(len(results), -1)
    indices, first = np.unique(rows[:, 0], return_index=True)
    if len(indices) != size:
        raise UserError(
            f"{len(indices)} of {size} samples were evaluated: a part gives no robustness measure. "
            "Choose fewer cells or num_samples in the data set instead"
        )
    return rows[first, 1:]


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
        baseline: See :func:`gcp_mm.robustness.measures.corruption_error`.
        kwargs: Of mmengine's ``BaseMetric``; ``prefix`` defaults to 'imagenet_c'.

    Raises:
        UserError: If the baseline cannot be read, or the clean error is no fraction.
    """

    default_prefix, dataset = "imagenet_c", "imagenet-c"

    def __init__(
        self,
        clean_error: float | None = None,
        baseline: str | Path | Baseline = "alexnet",
        **kwargs: Any,
    ) -> None:
        super().__init__(baseline, **kwargs)
        if clean_error is not None:
            check_number("clean_error", clean_error)
        self.clean_error = clean_error

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Compare the ``pred_score`` of each sample with its ``gt_label``."""
        found = self.scores(data_samples).argmax(dim=1).tolist()
        for sample, label in zip(data_samples, found, strict=True):
            right = label == int(sample["gt_label"])
            self.results.append((int(sample["sample_idx"]), int(right)))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Turn index and correctness of each sample into the results by name, in percent."""
        names, number = self.dataset_meta["cells"], self.dataset_meta["files_per_cell"]
        right = once_per_sample(results, len(names) * number).reshape(len(names), number)
        correct = dict(zip(names, right.sum(axis=1).tolist(), strict=True))
        cells = {name: {"correct": count, "total": number} for name, count in correct.items()}
        found = self.measure(cells, clean_error=self.clean_error)
        metrics = {name: 100 * (number - count) / number for name, count in correct.items()}
        metrics.update({f"CE/{name}": value for name, value in (found["CE"] or {}).items()})
        if found["mean_error"] is not None:
            metrics["mean_error"] = 100 * found["mean_error"]
        return {**metrics, **self.means(found, "mCE", "relative_mCE")}


@METRICS.register_module()
class FlipRate(RelativeMetric):
    """Compare the ordered top-5 of the frames of :class:`gcp_mm.datasets.ImageNetP`.

    Results are ``FP/<perturbation>`` and ``T5D/<perturbation>``, and with all ten ``mFR``, with
    a baseline that has top-5 distances also ``mT5D``. Of tied classes the lower one comes first.
    The counts are integers, the same for any number of processes.

    mFR relative to the published AlexNet is of the released 1000 classes only: for other data it is
    left out and the reason is logged, unless ``baseline`` is a network that was measured on the
    same data. With ``num_samples`` n the names are ``mFR_num_samples_<n>`` and so on.

    Args:
        baseline: See :func:`gcp_mm.robustness.measures.perturbation_robustness`.
        kwargs: Of mmengine's ``BaseMetric``; ``prefix`` defaults to 'imagenet_p'.

    Raises:
        UserError: If the baseline cannot be read.
    """

    default_prefix, dataset = "imagenet_p", "imagenet-p"

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the five most likely classes of each frame, by its ``pred_score``."""
        scores = self.scores(data_samples)
        if scores.shape[1] < 5:
            raise UserError(f"top-5 distances need 5 classes, and the model has {scores.shape[1]}")
        for sample, classes in zip(data_samples, ordered_top5(scores).tolist(), strict=True):
            self.results.append((int(sample["sample_idx"]), *classes))

    def compute_metrics(self, results: list[tuple[int, ...]]) -> dict[str, float]:
        """Turn index and top-5 of each frame into the results by name."""
        ends, difficulty = self.dataset_meta["clip_ends"], self.dataset_meta["difficulty"]
        clips = np.split(once_per_sample(results, int(ends[-1])), ends[:-1])
        number = self.dataset_meta["files_per_cell"]
        cells = {}
        for name in PERTURBATIONS:
            folder = folder_name(name, difficulty)
            if folder in self.dataset_meta["cells"]:
                first = self.dataset_meta["cells"].index(folder) * number
                measures = measure_clips(clips[first : first + number], name, difficulty)
                cells[folder] = {"difficulty": {str(difficulty): asdict(measures)}}
        found = self.measure(cells, difficulty=difficulty)
        metrics = {f"FP/{name}": value for name, value in found["flip_probability"].items()}
        metrics.update({f"T5D/{name}": value for name, value in found["top5_distance"].items()})
        return {**metrics, **self.means(found, "mFR", "mT5D")}
