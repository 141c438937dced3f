#!/usr/bin/env bash
# Train under SLURM, one process for each GPU:
#   GPUS=16 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), PORT and SRUN_ARGS are read from the environment.
exec bash "$(dirname "${BASH_SOURCE[0]}")/_slurm.sh" train "$@"
