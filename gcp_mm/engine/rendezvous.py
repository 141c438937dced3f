"""Where processes meet: what a failure means, and SLURM's variables in torch's terms."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from gcp_mm.errors import UserError

# Below the ports that Linux gives to outgoing connections (32768 and up).
_FIRST_PORT, _NUM_PORTS = 20000, 12000


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
    """Set the variables of torchrun from those of srun; ``MASTER_*`` only where they are not set.

    mmengine's own set-up, which takes over with a GPU, does the same, but every job meets at port
    29500, so that two jobs on one node would collide.
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
