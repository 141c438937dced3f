"""What a network says of a cell: right predictions of ImageNet-C, ordered top-5 of ImageNet-P."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce
from torch import Tensor

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.classifier import Classifier, ordered_top5
from gcp_mm.robustness.evaluation.loader import Part
from gcp_mm.robustness.evaluation.top5_file import Top5, join


def count_right(
    classifier: Classifier,
    batches: Iterator[Tensor],
    part: Part,
    labels: np.ndarray,
    batch: int,
    on_batch: Callable[[int], None] = lambda files: None,
) -> dict[str, Any]:
    """Classify the images of a cell; return ``correct`` and ``total`` over all processes.

    Batches (N, H, W, 3) uint8 come as the part orders them. ``labels`` has the class of each file
    of the cell; ``batch``, the images that the network is given at a time, is that of every
    process; ``on_batch`` is called with the number of images of each batch.
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
    """Refuse the result of a cell in which scores were infinite or no numbers."""
    if broken:
        raise UserError(
            f"{cell}: the scores of {broken} images are not finite ({classifier.dtype}). Use "
            "--dtype float32, or another checkpoint; finished cells are kept"
        )


def rechunk(clips: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Cut clips (N, H, W, 3) into chunks of ``size`` frames; the last one may be shorter.

    Each chunk is overwritten by the next one.
    """
    chunk, filled = torch.empty(0), 0
    for frames in clips:
        if not len(chunk):
            chunk = frames.new_empty(size, *frames.shape[1:])
        while len(frames):
            fitting, frames = frames[: size - filled], frames[size - filled :]
            chunk[filled : filled + len(fitting)] = fitting
            filled += len(fitting)
            if filled == size:
                yield chunk
                filled = 0
    if filled:
        yield chunk[:filled]


def top5_of_clips(
    classifier: Classifier,
    clips: Iterator[Tensor],
    part: Part,
    chunk: int,
    on_clip: Callable[[int], None] = lambda clips: None,
) -> Top5:
    """Classify the frames (N, H, W, 3) uint8 of clips; return the top-5 of all processes.

    ``chunk`` is the number of frames that the network is given at a time; ``on_clip`` is called
    with 1 after each clip.
    """
    lengths: list[int] = []

    def frames() -> Iterator[Tensor]:
        for _ in part.indices:
            images = next(clips)
            lengths.append(len(images))
            yield images
            on_clip(1)

    broken = torch.zeros((), dtype=torch.int64, device=classifier.device)
    classes = [torch.zeros(0, 5, dtype=torch.int16)]
    for images in rechunk(frames(), chunk):
        scores = classifier.padded_logits(images, chunk)
        broken += (~torch.isfinite(scores)).any(dim=1).sum()
        classes.append(ordered_top5(scores).cpu())
    mine = Top5(
        np.array(part.indices, np.int32), np.array(lengths, np.int32), torch.cat(classes).numpy()
    )
    found = all_gather_object((mine, int(broken)))
    check_finite(sum(number for _, number in found), part.cell, classifier)
    return join(top5 for top5, _ in found)
