"""One data loader over the cells of an evaluation, so that workers start once.

Each process of each shard reads a share of every cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gcp_mm.engine.loader_workers import (
    MORE,
    NO_WORKERS,
    SHARED,
    fit_to_shared_memory,
    prepare_workers,
)
from gcp_mm.errors import UserError
from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE
from gcp_mm.robustness.data.imagenet_p import ImageNetP
from gcp_mm.robustness.data.tree import RobustnessTree
from gcp_mm.robustness.evaluation.result_form import CLEAN


class BatchBuffers:
    """Buffers of images in memory that all workers share.

    The first touch of a page of memory costs more than the copy of what is written there, and a
    data loader touches new pages in a worker and in the main process for every batch. Buffers are
    taken and released by the main process only.

    Args:
        number: Buffers.
        shape: (images, H, W, 3) of each.
        shared: Whether there are workers.

    Raises:
        UserError: If shared memory has no room for them.
    """

    def __init__(self, number: int, shape: Sequence[int], shared: bool = True) -> None:
        self._images = torch.empty((number, *shape), dtype=torch.uint8)
        if shared:
            try:
                self._images.share_memory_()
            except (RuntimeError, OSError) as error:
                size = self._images.numel() / 2**20
                raise UserError(
                    f"{SHARED} has no room for the {size:.0f} MB that workers hand their images "
                    f"over in ({str(error).splitlines()[0]}): {MORE}, or use {NO_WORKERS}"
                ) from error
        self._free = deque(range(number))

    def __getitem__(self, index: int) -> Tensor:
        """Return a buffer: (images, H, W, 3) uint8."""
        return self._images[index]

    def take(self) -> int:
        """Return the index of a buffer that nobody uses."""
        return self._free.popleft()

    def release(self, index: int) -> None:
        """Let a buffer be taken again."""
        self._free.append(index)


# Batches that each worker prepares ahead of the network.
_AHEAD = 2
# Of the longest clips that the authors' script writes; longer ones are handed over apart.
_FRAMES = 41


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


@dataclass(frozen=True)
class Request:
    """What a worker is asked for.

    Attributes:
        cell: Key of the cell.
        indices: Positions in the listing.
        buffer: Index of the buffer to fill.
    """

    cell: str
    indices: range
    buffer: int


@dataclass(frozen=True)
class Answer:
    """What a worker has read.

    Attributes:
        buffer: Index of the buffer of the request.
        number: Images, from the start of the buffer.
        apart: Images that do not fit there, instead of those in the buffer.
    """

    buffer: int
    number: int
    apart: Tensor | None = None


class Requests(Sampler):
    """Requests for parts, one part after the other; none is for files of two cells.

    Args:
        parts: The parts.
        buffers: Where a free buffer is taken for each.
    """

    def __init__(self, parts: Sequence[Part], buffers: BatchBuffers) -> None:
        self.parts, self.buffers = parts, buffers

    def __iter__(self) -> Iterator[Request]:
        """Yield the requests."""
        for part in self.parts:
            for indices in part.batches:
                yield Request(part.cell, indices, self.buffers.take())

    def __len__(self) -> int:
        """Return their number."""
        return sum(len(part.batches) for part in self.parts)


class CellFiles(Dataset):
    """Files by request.

    Args:
        tree: The cells.
        clean: Images without corruption, a data set of mmpretrain; the cell :data:`CLEAN`.
        buffers: Where decoded images are put.
    """

    def __init__(self, tree: RobustnessTree, clean: Dataset | None, buffers: BatchBuffers) -> None:
        self.tree, self.clean, self.buffers = tree, clean, buffers

    def __getitem__(self, request: Request) -> Answer:
        """Read some images, or a clip."""
        buffer = self.buffers[request.buffer]
        read = self._clip if isinstance(self.tree, ImageNetP) else self._images
        images = read(request, buffer)
        fits = images.data_ptr() == buffer.data_ptr()
        return Answer(request.buffer, len(images), None if fits else images)

    def _clip(self, request: Request, buffer: Tensor) -> Tensor:
        (index,) = request.indices
        return torch.from_numpy(self.tree.read(request.cell, index, out=buffer.numpy()))

    def _images(self, request: Request, buffer: Tensor) -> Tensor:
        images = buffer[: len(request.indices)]
        for place, index in enumerate(request.indices):
            if request.cell == CLEAN:
                image = self.clean[index]["inputs"].permute(1, 2, 0)
            else:
                image = torch.from_numpy(self.tree.read(request.cell, index))
            # The config's own pipeline decides on the size of clean images.
            if place == 0 and image.shape != images.shape[1:]:
                images = torch.empty((len(images), *image.shape), dtype=torch.uint8)
            images[place] = image
        return images


class Batches:
    """The images of the parts, batch after batch, in order.

    A batch is overwritten after the next one has been asked for.

    Args:
        tree: The cells.
        clean: Images without corruption; the cell :data:`CLEAN`.
        parts: In the order of the evaluation. Of clips, a batch has one.
        workers: Processes that decode; 0 decodes in this one.
    """

    def __init__(
        self, tree: RobustnessTree, clean: Dataset | None, parts: Sequence[Part], workers: int
    ) -> None:
        side = tree.input_size or RELEASED_SIZE
        longest = max((len(files) for part in parts for files in part.batches), default=1)
        images = _FRAMES if isinstance(tree, ImageNetP) else longest
        workers, ahead = fit_to_shared_memory(workers, _AHEAD, images * side * side * 3)
        # One more for the batch that is in use.
        self._buffers = BatchBuffers(ahead * workers + 1, (images, side, side, 3), workers > 0)
        self._held: int | None = None
        loader = DataLoader(
            CellFiles(tree, clean, self._buffers),
            batch_size=None,
            sampler=Requests(parts, self._buffers),
            num_workers=workers,
            prefetch_factor=ahead if workers else None,
            worker_init_fn=_start_worker,
        )
        # For what does not fit into the buffers and is handed over apart.
        prepare_workers(loader)
        self._answers = iter(loader)

    def __iter__(self) -> Iterator[Tensor]:
        """Return this object."""
        return self

    def __next__(self) -> Tensor:
        """Return the next batch: (N, H, W, 3) uint8, channels blue, green, red."""
        if self._held is not None:
            self._buffers.release(self._held)
            self._held = None
        answer = next(self._answers)
        self._held = answer.buffer
        if answer.apart is not None:
            return answer.apart
        return self._buffers[answer.buffer][: answer.number]


def _start_worker(_: int) -> None:
    # The workers are the parallelism.
    cv2.setNumThreads(0)
