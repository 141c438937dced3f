#!/usr/bin/env bash
# Evaluate on ImageNet-C or ImageNet-P on one node with several processes:
#   bash tools/dist_test_robustness.sh CONFIG CHECKPOINT NUM_PROCESSES --dataset imagenet-c [options]
# Several nodes: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
config=${1:-} checkpoint=${2:-} processes=${3:-}
exec bash "$(dirname "${BASH_SOURCE[0]}")/_dist.sh" test_robustness "$config" "$processes" \
    "$checkpoint" "${@:4}"
