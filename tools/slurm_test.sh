#!/usr/bin/env bash
# Evaluate under SLURM, one process for each GPU:
#   GPUS=8 bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), PORT and SRUN_ARGS are read from the environment.
exec bash "$(dirname "${BASH_SOURCE[0]}")/_slurm.sh" test "$@"
