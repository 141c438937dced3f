#!/usr/bin/env bash
# Train on one node with several processes: bash tools/dist_train.sh CONFIG NUM_PROCESSES [options]
# Several nodes: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
exec bash "$(dirname "${BASH_SOURCE[0]}")/_dist.sh" train "$@"
