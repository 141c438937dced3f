#!/usr/bin/env bash
# The launcher behind dist_train.sh and dist_test.sh: _dist.sh train|test CONFIG NUM_PROCESSES ...
# A task may be two words, the tool and its command: 'test_robustness baseline'.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_common.sh"

read -r task command <<<"$1"
config=${2:-} processes=${3:-}
if [[ ! -f $config && "$task $config" != "test_robustness alexnet" ]] || ! is_positive "$processes"; then
    fail_with_usage "dist_$task.sh" "config '$config' must be a file and the number of processes" \
        "'$processes' a positive integer"
fi

if [[ ${NNODES:-1} == 1 && ${PORT:-0} == 0 ]]; then
    # torchrun takes a free port. Without the address the machine's name would have to resolve.
    meeting=(--standalone --local_addr=127.0.0.1)
else
    meeting=(
        --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}"
    )
fi

exec "$(project_python)" -m gcp_mm.engine.launch "${meeting[@]}" --nproc_per_node="$processes" \
    "$tools/$task.py" ${command:+"$command"} "$config" "${@:4}" --launcher pytorch
