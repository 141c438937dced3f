"""The processes and the device of an evaluation, and the lock of its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size, init_dist, is_distributed

from gcp_mm.engine.distributed import prepare_distributed
from gcp_mm.engine.gpu_driver import check_gpu_driver
from gcp_mm.errors import UserError
from gcp_mm.first_process import on_first_process
from gcp_mm.locks import hold_file


def set_up(cfg: Config, device: str | None) -> torch.device:
    """Join the process group of the launcher and choose the device."""
    if device is None:
        check_gpu_driver()
    launcher = cfg.get("launcher", "none")
    prepare_distributed(cfg)
    if launcher != "none" and not is_distributed():
        init_dist(launcher, backend="nccl" if torch.cuda.is_available() else "gloo")
    if device is None:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", torch.cuda.current_device())
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # an unknown one, or one that is absent
        raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from error


def share(number: int, shard: tuple[int, int] | None) -> range:
    """Return the positions that this process takes: a stride, without padding.

    Args:
        number: Number of files.
        shard: (i, n), or None for all.

    Returns:
        Positions; those of all processes of all shards are 0 to ``number`` - 1, each once.
    """
    first, shards = shard or (0, 1)
    # A shard is the same files for any number of processes.
    return range(first + shards * get_rank(), number, shards * get_world_size())


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other evaluations from a result file and its top-5 files.

    Of all processes of a launcher the first one takes part; see :class:`gcp_mm.locks.Lock`.
    """
    lock = hold_file(path, "is being written", "wait for it, or choose another --out")

    def take() -> None:
        lock.acquire()

    on_first_process(take)
    try:
        yield
    finally:
        # Nothing happens in a process that does not hold it.
        lock.release()
