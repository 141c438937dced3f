"""FP, mFR, T5D and mT5D as a metric of mmengine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from gcp_mm.errors import UserError
from gcp_mm.evaluation.metrics.once_per_sample import once_per_sample
from gcp_mm.evaluation.metrics.relative_metric import RelativeMetric
from gcp_mm.evaluation.perturbations import PERTURBATIONS, folder_name
from gcp_mm.evaluation.sequences import measure_clips
from gcp_mm.registry import METRICS
from gcp_mm.robustness.measures import perturbation_measures


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
        baseline: See :func:`gcp_mm.evaluation.perturbation_robustness`.
        collect_device: As in mmengine's ``BaseMetric``.
        prefix: As there. Defaults to 'imagenet_p'.
        collect_dir: As there.
    """

    default_prefix = "imagenet_p"

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the five most likely classes of each frame.

        Args:
            data_batch: Not used.
            data_samples: Predictions, with ``pred_score`` and ``sample_idx``.

        Raises:
            UserError: If there are fewer than five classes.
        """
        scores = torch.stack([sample["pred_score"] for sample in data_samples])
        if scores.shape[1] < 5:
            raise UserError(f"top-5 distances need 5 classes, and the model has {scores.shape[1]}")
        top5 = scores.sort(dim=1, descending=True, stable=True).indices[:, :5].tolist()
        for sample, classes in zip(data_samples, top5, strict=True):
            self.results.append((int(sample["sample_idx"]), *classes))

    def compute_metrics(self, results: list[tuple[int, ...]]) -> dict[str, float]:
        """Compare the frames of each clip.

        Args:
            results: Index and top-5 of each frame.

        Returns:
            The results by name.

        Raises:
            UserError: If a frame was not evaluated.
        """
        ends, difficulty = self.dataset_meta["clip_ends"], self.dataset_meta["difficulty"]
        clips = np.split(once_per_sample(results, int(ends[-1])), ends[:-1])
        number = self.dataset_meta["files_per_cell"]
        cells = {}
        for name in PERTURBATIONS:
            folder = folder_name(name, difficulty)
            if folder not in self.dataset_meta["cells"]:
                continue
            first = self.dataset_meta["cells"].index(folder) * number
            measures = measure_clips(clips[first : first + number], name, difficulty)
            cells[folder] = {"difficulty": {str(difficulty): asdict(measures)}}
        found = self.measure(perturbation_measures, cells, difficulty=difficulty)
        metrics = {f"FP/{name}": value for name, value in found["flip_probability"].items()}
        metrics.update({f"T5D/{name}": value for name, value in found["top5_distance"].items()})
        return {**metrics, **self.means(found, "mFR", "mT5D")}
