"""One data loader over the cells of an evaluation, so that workers start once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from gcp_mm.datasets.robustness_tree import RobustnessTree

CLEAN = "clean"


@dataclass(frozen=True)
class Part:
    """The files of a cell that this process reads.

    Attributes:
        cell: Key of the cell.
        indices: Positions in the listing, with a stride over processes and shards.
        batch: Files read at a time.
    """

    cell: str
    indices: range
    batch: int

    @property
    def batches(self) -> list[range]:
        """The positions of each batch."""
        starts = range(0, len(self.indices), self.batch)
        return [self.indices[start : start + self.batch] for start in starts]


class CellBatches(Sampler):
    """Batches of parts, one part after the other; a batch never holds files of two cells.

    Args:
        parts: The parts.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[list[tuple[str, int]]]:
        """Yield the cells and positions of each batch."""
        for part in self.parts:
            for batch in part.batches:
                yield [(part.cell, index) for index in batch]

    def __len__(self) -> int:
        """Return the number of batches."""
        return sum(len(part.batches) for part in self.parts)


class CellFiles(Dataset):
    """Files by cell and position, as tensors.

    Args:
        tree: The cells.
        clean: Images without corruption, a data set of mmpretrain; the cell :data:`CLEAN`.
    """

    def __init__(self, tree: RobustnessTree, clean: Dataset | None = None) -> None:
        self.tree, self.clean = tree, clean

    def __getitem__(self, position: tuple[str, int]) -> Tensor:
        """Return an image (H, W, 3) or a clip (T, H, W, 3), uint8."""
        cell, index = position
        if cell == CLEAN:
            return self.clean[index]["inputs"].permute(1, 2, 0).contiguous()
        return torch.from_numpy(self.tree.read(cell, index))


def _join_clips(clips: list[Tensor]) -> tuple[Tensor, list[int]]:
    """Join the frames of clips."""
    return torch.cat(clips), [len(clip) for clip in clips]


def _start_worker(_: int) -> None:
    # The workers are the parallelism.
    cv2.setNumThreads(0)


def make_loader(
    files: CellFiles, parts: Sequence[Part], workers: int, clips: bool, pin_memory: bool
) -> DataLoader:
    """Make the loader of all parts.

    Args:
        files: What is read.
        parts: In the order of the evaluation.
        workers: Processes that decode; 0 decodes in this one.
        clips: Whether files are clips: their frames are joined, and the lengths come along.
        pin_memory: Whether batches go to a GPU.

    Returns:
        A loader of batches, in order.
    """
    return DataLoader(
        files,
        batch_sampler=CellBatches(parts),
        num_workers=workers,
        collate_fn=_join_clips if clips else default_collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
    )
