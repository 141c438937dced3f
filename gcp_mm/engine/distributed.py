"""Several processes: how they meet, what they compute on, and that they end together.

Importing this module imports neither torch nor OpenMMLab.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from gcp_mm.engine.torch_backends import count_gpus
from gcp_mm.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

# Below the ports that Linux gives to outgoing connections (32768 and up).
_FIRST_PORT, _NUM_PORTS = 20000, 12000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def prepare_distributed(cfg: Config) -> None:
    """Check the launched processes against the devices, and set up gloo where there is no GPU.

    mmengine's launchers 'pytorch' and 'slurm' select a CUDA device unconditionally, but skip their
    set-up when a process group exists already. So without a GPU the group is made here, and the
    model wrapper is told to use no device.
    """
    end_children_too()
    if cfg.launcher not in ("pytorch", "slurm"):
        return
    die_with_parent()
    _check_average(cfg)
    if cfg.launcher == "slurm":
        processes = export_slurm()
    else:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    gpus = count_gpus()
    if gpus and processes > gpus:
        fewer = (
            f"set GPUS_PER_NODE={gpus} for tools/slurm_*.sh, without options of srun that show "
            "each process one GPU"
            if cfg.launcher == "slurm"
            else f"give {gpus} to tools/dist_*.sh"
        )
        raise UserError(
            f"{processes} processes were started on a machine with {gpus} GPU(s); start at most "
            f"{gpus}: {fewer} (in training --auto-scale-lr adapts the "
            "learning rate), or hide the GPUs with CUDA_VISIBLE_DEVICES= to run on CPU"
        )
    if gpus:
        return
    # Imported here, because processes that make images need this module and no torch.
    import torch.distributed

    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    _wrap_without_device(cfg)


def _check_average(cfg: Config) -> None:
    """Refuse what would end in a KeyError at the first checkpoint.

    With its DDPStrategy mmengine's FlexibleRunner saves the names of the wrapped model, which
    begin with ``module.``, and EMAHook looks for those without.
    """
    if cfg.get("runner_type") != "FlexibleRunner":
        return
    if any("EMAHook" in str(hook["type"]) for hook in cfg.get("custom_hooks") or []):
        raise UserError(
            "custom_hooks has EMAHook, which does not go with runner_type=FlexibleRunner in "
            "several processes: remove runner_type, or the hook"
        )


def _wrap_without_device(cfg: Config) -> None:
    """Set the wrapper of the model, where the runner of the config looks for it."""
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False)
    if cfg.get("runner_type") != "FlexibleRunner":
        cfg.model_wrapper_cfg = {**wrapper, **(cfg.get("model_wrapper_cfg") or {})}
        return
    strategy = cfg.get("strategy") or dict(type="DDPStrategy")
    if strategy["type"] == "DDPStrategy":
        strategy["model_wrapper"] = {**wrapper, **(strategy.get("model_wrapper") or {})}
    cfg.strategy = strategy


def explain_failure(error: Exception) -> str:
    """Return one line for torch's DistNetworkError or DistStoreError, with the cure."""
    # What follows the first line is a stack of C++ frames.
    reason = str(error).strip().partition("\n")[0]
    port = re.search(r"port: (\d+).*EADDRINUSE", reason)
    if port:
        return (
            f"port {port[1]} is in use on this machine: choose another one (PORT=29501, the same "
            "on every node), or leave PORT unset on a single node, where a free one is taken"
        )
    return (
        f"the processes cannot meet: {reason}. Check that every node was started, and that "
        "MASTER_ADDR names the first of them and PORT the same free port on all"
    )


def _require(name: str) -> str:
    """Return a variable of SLURM's."""
    try:
        return os.environ[name]
    except KeyError:
        raise UserError(
            f"--launcher slurm needs the variables that srun sets, and {name} is not set; start "
            "with tools/slurm_train.sh or slurm_test.sh, or srun python TOOL ... --launcher slurm"
        ) from None


def _tasks_on_this_node() -> int:
    """Return how many processes of this step the node has: one of ``8(x2),4``."""
    counts = []
    listed = os.environ.get("SLURM_STEP_TASKS_PER_NODE") or _require("SLURM_TASKS_PER_NODE")
    for part in listed.split(","):
        tasks, _, times = part.rstrip(")").partition("(x")
        counts += [int(tasks)] * int(times or 1)
    return counts[int(os.environ.get("SLURM_NODEID", 0))]


def _first_node() -> str:
    """Return the address of the node that has the first process."""
    nodes = os.environ.get("SLURM_STEP_NUM_NODES") or os.environ.get("SLURM_NNODES") or "1"
    if nodes == "1":
        return "127.0.0.1"
    listed = os.environ.get("SLURM_STEP_NODELIST") or _require("SLURM_NODELIST")
    if shutil.which("scontrol") is None:
        raise UserError(
            f"scontrol, which expands the list of nodes {listed}, is not found: set MASTER_ADDR "
            "to the name of the first node"
        )
    command = ["scontrol", "show", "hostnames", listed]
    names = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not names:
        raise UserError(
            f"scontrol does not expand the list of nodes {listed}: set MASTER_ADDR to the name of "
            "the first node"
        )
    return names[0]


def _port_of_step() -> int:
    """Return a port that all processes of a step agree on, and other steps seldom have."""
    step = int(os.environ.get("SLURM_JOB_ID", 0)) * 16 + int(os.environ.get("SLURM_STEP_ID", 0))
    return _FIRST_PORT + step % _NUM_PORTS


def export_slurm() -> int:
    """Set torchrun's variables from srun's; return the number of processes on this node.

    ``MASTER_*`` are set only where they are not. mmengine's own set-up, which takes over with a
    GPU, does the same, but every job meets at port 29500, so that two on one node would collide.
    """
    os.environ["RANK"] = _require("SLURM_PROCID")
    os.environ["WORLD_SIZE"] = _require("SLURM_NTASKS")
    os.environ["LOCAL_RANK"] = _require("SLURM_LOCALID")
    processes = _tasks_on_this_node()
    os.environ["LOCAL_WORLD_SIZE"] = str(processes)
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _first_node()
    os.environ.setdefault("MASTER_PORT", str(_port_of_step()))
    return processes


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends.

    torchrun starts its workers in sessions of their own. After ``kill -9`` of the launcher they
    would train on, and write into the work folder of the run that was started in its place.
    Only Linux has the request; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@functools.cache
def end_children_too() -> None:
    """Ask the kernel to kill what this process forks from now on when this process ends.

    A worker of a data loader that finds its parent gone waits for the reader of its queue, and has
    the reading end of that pipe itself: with a full pipe it stays for ever, with its memory.
    Calling this again does nothing.
    """
    if sys.platform != "linux":
        return
    from_main_thread = False

    def before() -> None:
        nonlocal from_main_thread
        from_main_thread = threading.current_thread() is threading.main_thread()

    def after() -> None:
        # The kernel's request is about the thread that forked, and others end before the process.
        if from_main_thread:
            die_with_parent()

    os.register_at_fork(before=before, after_in_child=after)
