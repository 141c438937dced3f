"""How many workers the machine allows: shared memory and open files."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from mmengine.logging import print_log

from gcp_mm.errors import UserError

SHARED = Path("/dev/shm")
MORE = "give the container more of it (docker run --ipc=host, or --shm-size=1g)"

# What the robustness tool is told for no workers at all.
NO_WORKERS = "--workers 0"
# Left for what else goes through shared memory.
_MARGIN = 2 * 2**20
# Pipes, locks and memory of a worker, and what this process opens besides (measured, rounded up).
_FILES_OF_WORKER, _FILES = 12, 24


def free_shared_memory() -> int | None:
    """Return the free bytes of shared memory.

    Returns:
        The bytes; None if it has no limit, as with the option size=0 of tmpfs.

    Raises:
        OSError: If there is no shared memory at all.
    """
    usage = shutil.disk_usage(SHARED)
    return usage.free if usage.total else None


def require_shared_memory(no_workers: str = NO_WORKERS) -> int | None:
    """Make sure that there is shared memory: the locks of the workers' queues are in it.

    Args:
        no_workers: The option that starts no workers.

    Returns:
        As :func:`free_shared_memory`.

    Raises:
        UserError: If there is none.
    """
    try:
        return free_shared_memory()
    except OSError as error:
        raise UserError(
            f"workers hand their images over in shared memory, and there is no {SHARED} "
            f"({error.strerror}): {MORE}, or use {no_workers}"
        ) from error


def fit_to_shared_memory(workers: int, ahead: int, size: int) -> tuple[int, int]:
    """Reduce workers, or the batches that each prepares, to what shared memory has room for.

    Only where results do not depend on the number of workers: the augmentations of a training do.

    Args:
        workers: Processes that are asked for.
        ahead: Batches that each is to prepare ahead.
        size: Bytes of a batch. One more than the workers prepare is in use.

    Returns:
        Workers and batches ahead; 0 workers need no shared memory. A line in the log tells if they
        are fewer.

    Raises:
        UserError: If there is no shared memory at all.
    """
    if not workers:
        return 0, ahead
    free = require_shared_memory()
    if free is None:
        return workers, ahead
    room = max(0, free // _processes_here() - _MARGIN) // size - 1
    if room >= workers * ahead:
        return workers, ahead
    fewer_ahead = max(1, min(ahead, room // workers))
    fewer = max(0, min(workers, room // fewer_ahead))
    print_log(
        f"{SHARED} has {free / 2**20:.0f} MB free: {fewer} of {workers} workers, {fewer_ahead} of "
        f"{ahead} batches ahead. For all, {MORE}",
        logger="current",
    )
    return fewer, fewer_ahead


def _processes_here() -> int:
    """Return how many processes of a launcher share this machine's memory, rounded up."""
    local = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE")
    if local is None and "SLURM_NTASKS" in os.environ:
        nodes = int(os.environ.get("SLURM_NNODES") or 1)
        local = -(-int(os.environ["SLURM_NTASKS"]) // nodes)
    return max(1, int(local or 1))


def require_open_files(workers: int, no_workers: str = NO_WORKERS) -> None:
    """Raise the limit on open files to what workers need: at it, they would wait for ever.

    Args:
        workers: Processes that are about to start.
        no_workers: The option that starts none.

    Raises:
        UserError: If the system does not allow so many.
    """
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
