"""Workers of data loaders: how many the machine allows, where memory is short, and their end."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor
from torch.utils.data import DataLoader
from torch.utils.data._utils.collate import collate_tensor_fn, default_collate_fn_map

from gcp_mm.errors import UserError
from gcp_mm.first_process import warn
from gcp_mm.images.load_image import SharedFlags
from gcp_mm.registry import HOOKS

SHARED = Path("/dev/shm")
MORE = "give the container more of it (docker run --ipc=host, or --shm-size=1g)"

# What the robustness tool is told for no workers at all.
NO_WORKERS = "--workers 0"
# Pipes, locks and memory of a worker, and what this process opens besides (measured, rounded up).
_FILES_OF_WORKER, _FILES = 12, 24


def require_shared_memory(no_workers: str = NO_WORKERS) -> None:
    """Refuse to go on without shared memory, in which the locks of the workers' queues are."""
    try:
        SHARED.stat()
    except OSError as error:
        raise UserError(
            f"workers hand their images over in shared memory, and there is no {SHARED} "
            f"({error.strerror}): {MORE}, or use {no_workers}"
        ) from error


def require_open_files(workers: int, no_workers: str = NO_WORKERS) -> None:
    """Raise the limit on open files to what workers need: at it, they would wait for ever."""
    if not workers:
        return
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    except OSError:
        used = 64
    needed = used + _FILES + _FILES_OF_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(
            f"{hard} open files are allowed (ulimit -n), and {workers} workers need about "
            f"{needed}: raise the limit, or use {no_workers}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


# Smaller ones, the labels, take a page of shared memory and two open files each.
_PAGE = 4096
# Of shared memory, left for what else is in it: NCCL's buffers, the queues' locks.
_RESERVED_SHARE, _RESERVED_AT_MOST = 8, 64 * 2**20


def prepare_workers(
    loader: DataLoader, no_workers: str = NO_WORKERS, said: SharedFlags | None = None
) -> None:
    """Let the workers of a loader go on when shared memory or open files run short.

    torch hands every tensor of a batch over in a file of ``/dev/shm``. Where that is full, the
    error is printed by a thread of the worker, and the main process waits for ever. Fewer workers
    would draw other augmentations; the way that a batch takes changes no number.
    """
    if not loader.num_workers or isinstance(loader.worker_init_fn, _WorkerStart):
        return
    require_shared_memory(no_workers)
    require_open_files(loader.num_workers, no_workers)
    loader.worker_init_fn = _WorkerStart(loader.worker_init_fn, said or SharedFlags(1))


class _WorkerStart:
    """Prepares a worker, and calls the function that its loader had for that."""

    def __init__(self, then: Callable[[int], None] | None, said: SharedFlags) -> None:
        self._then, self._said = then, said

    def __call__(self, worker: int) -> None:
        # Both are torch's own ways of adding a type; here they hold for this worker alone.
        ForkingPickler.register(Tensor, functools.partial(_reduce, self._say))
        default_collate_fn_map[Tensor] = functools.partial(_collate, self._say)
        if self._then is not None:
            self._then(worker)

    def _say(self, error: Exception | None) -> None:
        """Say once for all workers that a batch goes another way."""
        if not self._said.set(0):
            return
        total = shutil.disk_usage(SHARED).total / 2**20
        lack = (
            f"{SHARED} ({total:.0f} MB) is full"
            if error is None or "shared memory" in str(error)
            else f"no shared memory can be opened ({error})"
        )
        warn(
            f"{lack}: batches that find no room in it come through the workers' pipes, which is "
            f"slower and changes no result. For all, {MORE}"
        )


_Say = Callable[[Exception | None], None]


def _has_room(size: int) -> bool:
    """Say whether shared memory has room for some bytes, and a part of it stays free."""
    try:
        usage = shutil.disk_usage(SHARED)
    except OSError:
        return False
    reserved = min(usage.total // _RESERVED_SHARE, _RESERVED_AT_MOST)
    return not usage.total or usage.free - reserved >= size


def _reduce(say: _Say, tensor: Tensor) -> tuple:
    """Hand a tensor over, as the pickler of the worker asks for."""
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    is_number = not tensor.is_quantized and not tensor.is_complex()
    if not (is_plain and is_number) or tensor.requires_grad or tensor.is_shared():
        return reduce_tensor(tensor)
    if tensor.nbytes <= _PAGE:
        return _by_value(tensor)
    error = None
    if _has_room(tensor.untyped_storage().nbytes()):
        try:
            return reduce_tensor(tensor)
        except (RuntimeError, OSError) as failure:  # another process took it, or no file is left
            error = failure
    say(error)
    return _by_value(tensor)


def _by_value(tensor: Tensor) -> tuple:
    """Take a tensor as bytes; it is rebuilt with its strides, which decide on memory formats."""
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    content = tensor.permute(order).contiguous()
    back = [order.index(axis) for axis in range(tensor.dim())]
    # A view would keep a stride of 0 that an axis of size 1 may have.
    flat = content.as_strided((content.numel(),), (1,)).view(torch.uint8).numpy()
    return _rebuild, (flat, tuple(content.shape), tensor.dtype, back)


def _rebuild(content: object, shape: Sequence[int], dtype: torch.dtype, back: list[int]) -> Tensor:
    """Make a tensor of bytes."""
    return torch.from_numpy(content).view(dtype).view(shape).permute(back)


def _collate(say: _Say, batch: Sequence[Tensor], *, collate_fn_map: dict | None = None) -> Tensor:
    """Stack samples; torch's function would do it in shared memory."""
    if all(type(sample) is Tensor for sample in batch):
        size = sum(sample.nbytes for sample in batch)
        if size > _PAGE and not _has_room(size):
            say(None)
            return torch.stack(list(batch))
    try:
        return collate_tensor_fn(batch, collate_fn_map=collate_fn_map)
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        say(error)
        return torch.stack(list(batch))


# An iterator over a loader that the garbage collector finds has lost its queues before it can tell
# the workers to end by them: torch then waits 5 s for each worker, one after the other.
_HOLDING = ("torch.utils.data.dataloader", "torch._utils")


@contextmanager
def workers_end_with_errors() -> Iterator[None]:
    """Let an error in the block, or Ctrl-C, end the workers of a loader.

    The traceback of an error in a worker holds the iterator, in the variables of torch's functions,
    and is itself held by one of them: only the garbage collector would find either.
    """
    try:
        yield
    except BaseException as error:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals.get("__name__") in _HOLDING:
                frame.clear()
        raise


def _let_go(*_: object) -> None:
    """Do nothing with what has been held for this call."""


@HOOKS.register_module()
class LoaderWorkersHook(Hook):
    """Call :func:`prepare_workers` for each loader of the run, and end its workers with the runner.

    A runner is found by the garbage collector alone. Its loaders are held elsewhere until then, so
    that they end after it, by the count of their references.
    """

    def __init__(self) -> None:
        self._said: SharedFlags | None = None

    def before_run(self, runner: Runner) -> None:
        """Prepare the loaders, which have been built."""
        for stage in ("train", "val", "test"):
            # The properties of these names would build a loop that is not needed.
            loop = getattr(runner, f"_{stage}_loop", None)
            loader = loop.dataloader if isinstance(loop, BaseLoop) else None
            if isinstance(loader, DataLoader) and loader.num_workers:
                no_workers = f"--cfg-options {stage}_dataloader.num_workers=0"
                if loader.persistent_workers:
                    no_workers += f" {stage}_dataloader.persistent_workers=False"
                # Where there is no shared memory at all, a flag could not be made.
                require_shared_memory(no_workers)
                self._said = self._said or SharedFlags(1)
                prepare_workers(loader, no_workers, self._said)
                # The second is of IterBasedTrainLoop.
                held = loader, getattr(loop, "dataloader_iterator", None)
                weakref.finalize(runner, _let_go, *held).atexit = False
