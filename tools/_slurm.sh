#!/usr/bin/env bash
# The launcher behind slurm_train.sh and slurm_test.sh:
# _slurm.sh train|test PARTITION JOB_NAME CONFIG [arguments of the tool]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), PORT and SRUN_ARGS are read from the environment.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_common.sh"

task=$1 partition=${2:-} job=${3:-} config=${4:-}
script=slurm_$task.sh
if [[ -z $partition || -z $job || ! -f $config ]]; then
    fail_with_usage "$script" "partition '$partition' and job name '$job' must not be empty and" \
        "config '$config' must be a file"
fi
if [[ $task == test && ( -z ${5:-} || $5 == -* ) ]]; then
    fail_with_usage "$script" "the checkpoint must follow the config, not '${5:-}'"
fi
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8} cpus=${CPUS_PER_TASK:-5}
if ! is_positive "$gpus" || ! is_positive "$per_node" || ! is_positive "$cpus"; then
    fail_with_usage "$script" "GPUS '$gpus', GPUS_PER_NODE '$per_node' and CPUS_PER_TASK '$cpus'" \
        "must be positive integers"
fi
if ! command -v srun >/dev/null; then
    echo "error: there is no srun here: run this on a node of the cluster, or use" \
        "tools/dist_$task.sh on a machine without SLURM" >&2
    exit 2
fi
per_node=$((gpus < per_node ? gpus : per_node))
[[ -z ${PORT:-} ]] || export MASTER_PORT=$PORT
read -ra srun_args <<<"${SRUN_ARGS:-}"

exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
    --ntasks-per-node="$per_node" --cpus-per-task="$cpus" --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "$(project_python)" -u "$tools/$task.py" "$config" "${@:5}" --launcher slurm
