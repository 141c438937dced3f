"""Keep the ordered top-5 of the frames of ImageNet-P."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from mmengine.dist import all_gather_object
from torch import Tensor

from gcp_mm.robustness.classifier import Classifier, ordered_top5
from gcp_mm.robustness.loader import Part
from gcp_mm.robustness.run_c import check_finite
from gcp_mm.robustness.top5_file import Top5, join


def rechunk(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Cut a stream of frames into chunks of a fixed number; the last one may be shorter.

    Args:
        batches: Tensors of any length.
        size: Frames in a chunk.

    Yields:
        Chunks, in order. No more than one batch and one chunk are held.
    """
    held: list[Tensor] = []
    number = 0
    for frames in batches:
        held.append(frames)
        number += len(frames)
        while number >= size:
            joined = torch.cat(held) if len(held) > 1 else held[0]
            yield joined[:size]
            held, number = [joined[size:]], number - size
    if number:
        yield torch.cat(held)


def top5_of_clips(
    classifier: Classifier,
    batches: Iterator[tuple[Tensor, list[int]]],
    part: Part,
    chunk: int,
    on_batch: Callable[[int], None] = lambda files: None,
) -> Top5:
    """Classify the frames of a cell and gather the top-5 of all processes.

    Args:
        classifier: The network.
        batches: Frames (N, H, W, 3) uint8 of some clips and the number of frames of each.
        part: What this process reads of the cell.
        chunk: Frames that the network is given at a time.
        on_batch: Called with the number of clips of each batch.

    Returns:
        The top-5 of all frames of all processes.

    Raises:
        UserError: If a score is not a number.
    """
    lengths: list[int] = []

    def frames() -> Iterator[Tensor]:
        for indices in part.batches:
            images, numbers = next(batches)
            lengths.extend(numbers)
            yield images
            on_batch(len(indices))

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
