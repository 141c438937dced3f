"""One data loader over the cells of an evaluation, so that workers start once.

Each process of each shard reads a share of every cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gcp_mm.engine.loader_workers import prepare_workers
from gcp_mm.robustness.data.imagenet_p import ImageNetP
from gcp_mm.robustness.data.tree import RobustnessTree
from gcp_mm.robustness.evaluation.result_form import CLEAN

# Key of a cell, and positions in the listing.
Request = tuple[str, range]


def share(number: int, shard: tuple[int, int] | None) -> range:
    """Return the positions of ``number`` files that this process takes of shard (i, n), or of all.

    A stride, without padding: all processes of all shards take each position once.
    """
    first, shards = shard or (0, 1)
    # A shard is the same files for any number of processes.
    return range(first + shards * get_rank(), number, shards * get_world_size())


@dataclass(frozen=True)
class Part:
    """The files of a cell that this process reads.

    Attributes:
        cell: Key of the cell.
        indices: Positions in the listing, with a stride over processes and shards; see
            :func:`share`.
        batch: Files read at a time; of clips one.
    """

    cell: str
    indices: range
    batch: int

    @property
    def batches(self) -> list[range]:
        """The positions of each batch."""
        starts = range(0, len(self.indices), self.batch)
        return [self.indices[start : start + self.batch] for start in starts]


class CellFiles(Dataset):
    """Files by request; images without corruption are the cell :data:`CLEAN`."""

    def __init__(self, tree: RobustnessTree, clean: Dataset | None) -> None:
        self.tree, self.clean = tree, clean

    def __getitem__(self, request: Request) -> Tensor:
        """Read some images, or a clip: (N, H, W, 3) uint8, channels blue, green, red."""
        cell, indices = request
        if cell == CLEAN and self.clean is not None:
            return torch.stack([self.clean[index]["inputs"].permute(1, 2, 0) for index in indices])
        files = [self.tree.read(cell, index) for index in indices]
        # A batch has one clip.
        return torch.from_numpy(files[0] if isinstance(self.tree, ImageNetP) else np.stack(files))


def read_parts(
    tree: RobustnessTree, clean: Dataset | None, parts: Sequence[Part], workers: int
) -> Iterator[Tensor]:
    """Return the batches (N, H, W, 3) uint8 of the parts in order; 0 workers decode here."""
    loader = DataLoader(
        CellFiles(tree, clean),
        batch_size=None,
        # None is for files of two cells.
        sampler=((part.cell, indices) for part in parts for indices in part.batches),
        num_workers=workers,
        worker_init_fn=_start_worker,
    )
    prepare_workers(loader)
    return iter(loader)


def _start_worker(_: int) -> None:
    # The workers are the parallelism.
    cv2.setNumThreads(0)
