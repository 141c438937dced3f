"""A stand-in for SLURM's srun."""

import os
import shlex
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
# Forks both tasks, for which it has imported the stack once, and is their parent as srun is. They
# have sessions of their own: nothing but their own watch ends them with it.
FORKING_SRUN = """
import importlib
import os
import runpy
import sys

words = sys.argv[1:]
while words[0].startswith("--"):
    del words[0]
_, _, tool, *arguments = words  # behind the Python and its -u
for name in ("mmpretrain.models", "mmpretrain.datasets", "gcp_mm.registry", "gcp_mm.engine.runner"):
    importlib.import_module(name)
os.environ.update(SLURM_NTASKS="2", SLURM_TASKS_PER_NODE="2", SLURM_NNODES="1", SLURM_NODEID="0")
os.environ.update(SLURM_NODELIST="absent7", SLURM_JOB_ID=str(os.getpid()), SLURM_STEP_ID="0")
for number in ("0", "1"):
    pid = os.fork()
    if pid:
        with open(os.environ["PIDS"], "a") as file:
            print(pid, file=file)
        continue
    os.setsid()
    os.environ.update(SLURM_PROCID=number, SLURM_LOCALID=number)
    sys.argv = [tool, *arguments]
    sys.path[0] = os.path.dirname(tool)
    try:
        runpy.run_path(tool, run_name="__main__")
    finally:
        os._exit(1)
os.wait()
"""


def forking_srun(folder: Path, python: str) -> str:
    """Write a program that a Python runs, and return the text of an srun that starts it."""
    program = folder / "forking_srun.py"
    program.write_text(FORKING_SRUN)
    return f'#!/bin/sh\nexec {shlex.join([python, str(program)])} "$@"\n'


def put_on_path(folder: Path, text: str, name: str = "srun") -> str:
    """Write an srun below a folder, and return a PATH that begins with its own."""
    srun = folder / "slurm" / name
    srun.parent.mkdir()
    srun.write_text(text)
    srun.chmod(0o755)
    return f"{srun.parent}:{os.environ['PATH']}"
