#!/usr/bin/env bash
# Evaluate on ImageNet-C or ImageNet-P on one node with several processes:
#   bash tools/dist_test_robustness.sh CONFIG CHECKPOINT NUM_PROCESSES --dataset imagenet-c [options]
# or measure a baseline, with the word before CONFIG, which may be 'alexnet' for both:
#   bash tools/dist_test_robustness.sh baseline CONFIG CHECKPOINT NUM_PROCESSES --out FILE [options]
# Several nodes: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
task=test_robustness
if [[ ${1:-} == baseline ]]; then
    task="$task baseline"
    shift
fi
config=${1:-} checkpoint=${2:-} processes=${3:-}
exec bash "$(dirname "${BASH_SOURCE[0]}")/_dist.sh" "$task" "$config" "$processes" \
    "$checkpoint" "${@:4}"
