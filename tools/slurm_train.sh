#!/usr/bin/env bash
# Train under SLURM: GPUS=16 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS are read from the environment.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    echo "usage: GPUS=8 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-$tools/../.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python
read -ra srun_args <<<"${SRUN_ARGS:-}"

exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
    --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "$python" -u "$tools/train.py" "$config" --launcher slurm "${@:4}"
