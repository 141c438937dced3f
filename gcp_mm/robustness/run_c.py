"""Count right predictions in the cells of ImageNet-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor

from gcp_mm.errors import UserError
from gcp_mm.robustness.classifier import Classifier
from gcp_mm.robustness.loader import Part


def count_right(
    classifier: Classifier,
    batches: Iterator[Tensor],
    part: Part,
    labels: np.ndarray,
    batch: int,
    on_batch: Callable[[int], None] = lambda files: None,
) -> dict[str, Any]:
    """Classify the images of a cell and add up the counts of all processes.

    Args:
        classifier: The network.
        batches: Images (N, H, W, 3) uint8, as :class:`gcp_mm.robustness.loader.Part` orders them.
        part: What this process reads of the cell.
        labels: (files,) class of each file of the cell.
        batch: Images that the network is given at a time, the same in every process.
        on_batch: Called with the number of images of each batch.

    Returns:
        ``correct`` and ``total``, over all processes.

    Raises:
        UserError: If a score is not a number.
    """
    targets = torch.from_numpy(labels).to(classifier.device)
    # correct, total, not finite
    counts = torch.zeros(3, dtype=torch.int64, device=classifier.device)
    for indices in part.batches:
        scores = classifier.padded_logits(next(batches), batch)
        wanted = targets[indices.start : indices.stop : indices.step]
        # argmax takes the first one of tied classes.
        counts[0] += (scores.argmax(dim=1) == wanted).sum()
        counts[1] += len(indices)
        counts[2] += (~torch.isfinite(scores)).any(dim=1).sum()
        on_batch(len(indices))
    all_reduce(counts)
    correct, total, broken = counts.tolist()
    check_finite(broken, part.cell, classifier)
    return {"correct": correct, "total": total}


def check_finite(broken: int, cell: str, classifier: Classifier) -> None:
    """Refuse the result of a cell in which scores were infinite or no numbers.

    Args:
        broken: Number of images with such scores.
        cell: Key of the cell.
        classifier: The network.

    Raises:
        UserError: If there are any.
    """
    if broken:
        raise UserError(
            f"{cell}: the scores of {broken} images are not finite ({classifier.dtype}). Use "
            "--dtype float32, or another checkpoint; finished cells are kept"
        )
