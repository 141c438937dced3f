"""A stand-in for SLURM's srun."""

import os
from pathlib import Path

# Starts the command that follows its options twice, as the tasks of one node.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_NTASKS=2 SLURM_TASKS_PER_NODE=2 SLURM_NNODES=1 SLURM_NODEID=0
export SLURM_NODELIST=absent7 SLURM_JOB_ID=$$ SLURM_STEP_ID=0
for SLURM_PROCID in 0 1; do
    export SLURM_PROCID SLURM_LOCALID=$SLURM_PROCID
    "$@" & pids="${pids:-} $!"
    [[ -z ${PIDS:-} ]] || echo $! >>"$PIDS"
done
code=0
for pid in $pids; do
    wait -n && continue
    last=$?
    ((code)) || { code=$last; kill $pids 2>/dev/null; }
done
exit $code
"""


def put_on_path(folder: Path, text: str, name: str = "srun") -> str:
    """Write an srun below a folder, and return a PATH that begins with its own."""
    srun = folder / "slurm" / name
    srun.parent.mkdir()
    srun.write_text(text)
    srun.chmod(0o755)
    return f"{srun.parent}:{os.environ['PATH']}"
