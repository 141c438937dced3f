#!/usr/bin/env bash
# Try the paper's claims under SLURM: the data, an array with a task for each network, the page.
#   GPUS=8 bash tools/slurm_reproduce.sh PARTITION JOB_NAME PLAN [options of tools/reproduce.py]
# GPUS of each task (8), CPUS_PER_TASK (5 for each GPU) and SBATCH_ARGS are read from the
# environment. Submitted again after an interruption, it goes on.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_common.sh"

partition=${1:-} job=${2:-} plan=${3:-}
if [[ -z $partition || -z $job || -z $plan || $plan == -* ]]; then
    fail_with_usage slurm_reproduce.sh "partition '$partition', job name '$job' and plan '$plan'" \
        "must not be empty"
fi
gpus=${GPUS:-8} cpus=${CPUS_PER_TASK:-$((5 * ${GPUS:-8}))}
if ! is_positive "$gpus" || ! is_positive "$cpus"; then
    fail_with_usage slurm_reproduce.sh "GPUS '$gpus' and CPUS_PER_TASK '$cpus' must be positive" \
        "integers"
fi
if ! command -v sbatch >/dev/null; then
    echo "error: there is no sbatch here: run this on a node of the cluster, or use" \
        "tools/reproduce.py on a machine without SLURM" >&2
    exit 2
fi
words=("$(project_python)" -u "$tools/reproduce.py" "$plan")
# Options that not all of the calls read.
runs=() page=()
shift 3
while (($#)); do
    case $1 in
        --jobs) runs+=("${@:1:2}") && shift ;;
        --jobs=*) runs+=("$1") ;;
        --out) page+=("${@:1:2}") && shift ;;
        --out=*) page+=("$1") ;;
        *) words+=("$1") ;;
    esac
    shift || break
done
count=$("${words[@]}" --count-tasks)
# sbatch takes a script of sh, which knows no other quotes than these.
quoted() {
    local word
    for word in "$@"; do
        printf "'%s' " "${word//\'/\'\\\'\'}"
    done
}
command=$(quoted "${words[@]}")
run=$command$(quoted ${runs[@]+"${runs[@]}"})
read -ra more <<<"${SBATCH_ARGS:-}"
submit() {
    sbatch --parsable --kill-on-invalid-dep=yes --partition="$partition" --cpus-per-task="$cpus" --ntasks=1 \
        ${more[@]+"${more[@]}"} "$@"
}
prepare=$(submit --job-name="$job-data" --wrap="${run}--prepare")
array=$(submit --job-name="$job" --gres="gpu:$gpus" --array="0-$((count - 1))" \
    --dependency="afterok:${prepare%%;*}" --wrap="${run}--task \$SLURM_ARRAY_TASK_ID")
report=$(submit --job-name="$job-page" --dependency="afterany:${array%%;*}" \
    --wrap="$command$(quoted ${page[@]+"${page[@]}"})--report")
echo "submitted: data $prepare, $count networks $array, page $report"
