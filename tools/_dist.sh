#!/usr/bin/env bash
# The launcher behind dist_train.sh and dist_test.sh: _dist.sh train|test CONFIG NUM_PROCESSES ...
set -euo pipefail

task=$1 config=${2:-} processes=${3:-}
if [[ ! -f $config || ! $processes =~ ^[1-9][0-9]*$ ]]; then
    echo "error: config '$config' must be a file and the number of processes '$processes' a" \
        "positive integer; usage:" >&2
    grep -h '^# .*bash tools\|^#   bash tools' "$(dirname "${BASH_SOURCE[0]}")/dist_$task.sh" >&2
    exit 2
fi

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The environment that `make install` made, unless another one is asked for.
python=${PYTHON:-$tools/../.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python

exec "$python" -m gcp_mm.engine.launch \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$tools/$task.py" "$config" "${@:4}" --launcher pytorch
