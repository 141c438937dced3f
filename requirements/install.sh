#!/usr/bin/env bash
# Puts the tested stack and the project into .venv; `make install` runs this.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
readonly root venv="$root/.venv"
readonly stamp="$venv/.gcp_mm_install" total_steps=5 kernels=gcp_mm/ops/cpu_kernels

# A surprise download of an interpreter would not have the headers and version checked below.
export UV_PYTHON_DOWNLOADS=never
# uv's default of 30 s is too short for the gigabyte wheels on a slow line.
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}

usage() {
  cat <<'TEXT'
Usage: bash requirements/install.sh [--check-only | --force]

Puts the tested stack (requirements/lock.txt), mmcv built from source and this project into .venv.
Does nothing when that has been done for the present inputs.

  --check-only   check the tools this needs, say what is missing, change nothing
  --force        install again even if nothing changed

Environment:
  PYTHON         interpreter for .venv, 3.10 to 3.12 (default: the first suitable one on PATH)
  GCP_MM_CACHE   where built mmcv wheels are kept (default: ~/.cache/gcp_mm)
  FORCE_CUDA     1: build mmcv's CUDA ops, 0: CPU ops only (default: CUDA with a GPU and nvcc)
  MAX_JOBS       parallel compilers (default: one for each core and 2 GB of free memory)
TEXT
}

say() { printf '      %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

step_number=0
step() {
  step_number=$((step_number + 1))
  printf '[%d/%d] %4d s  %s\n' "$step_number" "$total_steps" "$SECONDS" "$1"
}

# shellcheck source=requirements/toolchain.sh
source requirements/toolchain.sh
# shellcheck source=requirements/mmcv_wheel.sh
source requirements/mmcv_wheel.sh

hash_files() { sha256sum -- "$@" </dev/null 2>/dev/null | sha256sum | cut -d ' ' -f 1; }

# What decides the contents of .venv; the path counts, because the scripts in there name it.
stack_fingerprint() {
  printf '%s %s %s\n' "$root" "$("$venv/bin/python" -c 'import sys; print(sys.version)')" \
    "$(hash_files requirements/{lock,mmcv}.txt requirements/*.sh)" | sha256sum | cut -d ' ' -f 1
}

# What the installed project copies or compiles; setup.py says why configs are copied.
project_fingerprint() {
  local -a files
  mapfile -t files < <(
    find setup.py pyproject.toml model-index.yml configs tools "$kernels"/{csrc,digest.py} -type f \
      -not -name '*.pyc' 2>/dev/null | LC_ALL=C sort
  )
  hash_files "${files[@]}"
}

stamped() {
  if [[ -f $stamp ]]; then sed -n "s|^$1=||p" "$stamp"; fi
}

write_stamp() {
  printf 'stack=%s\nproject=%s\nops=%s\nroot=%s\nkernels=%s\n' "$(stack_fingerprint)" \
    "$(project_fingerprint)" "$mmcv_ops" "$root" "$(compiled_kernels)" >"$stamp"
}

stack_up_to_date() {
  [[ -f $stamp ]] || return 1
  # A stamp says what was done, not that nobody removed it since.
  compgen -G "$venv/lib/python*/site-packages/mmcv/_ext*.so" >/dev/null || return 1
  if [[ -n ${PYTHON:-} ]]; then
    [[ $(python_version "$PYTHON") == "$(python_version "$venv/bin/python")" ]] || return 1
  fi
  # Without FORCE_CUDA either kind is accepted, so that `FORCE_CUDA=1 make install` outlives the
  # `make test` after it.
  mmcv_ops=$(stamped ops)
  case ${FORCE_CUDA:-} in
    0) [[ $mmcv_ops == cpu ]] || return 1 ;;
    1) [[ $mmcv_ops == cuda* ]] || return 1 ;;
  esac
  [[ $(stamped stack) == "$(stack_fingerprint)" ]]
}

# The C kernels of the layer are optional: what counts is that they are as they were left.
compiled_kernels() { find "$kernels" -name '_kernels*.so' 2>/dev/null | LC_ALL=C sort | tr '\n' ' '; }

project_up_to_date() {
  [[ $(stamped project) == "$(project_fingerprint)" ]] &&
    [[ $(stamped kernels) == "$(compiled_kernels)" ]]
}

install_project() {
  "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
}

prepare_venv() {
  local moved_from
  moved_from=$(stamped root)
  if [[ -n $moved_from && $moved_from != "$root" ]]; then
    say "making .venv anew: it was made for $moved_from"
  elif [[ $(python_version "$venv/bin/python") == "$(python_version "$python")" ]]; then
    return
  elif [[ -e $venv ]]; then
    say "making .venv anew: it is not a working Python $(python_version "$python")"
  fi
  python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", "") or sys.executable)')
  rm -rf "$venv"
  "$uv" venv --quiet --no-project --prompt gcp_mm --python "$python" "$venv"
}

check_only=0 force=0
for argument in "$@"; do
  case $argument in
    --check-only) check_only=1 ;;
    --force) force=1 ;;
    -h | --help) usage && exit 0 ;;
    *) fail "unknown option '$argument'" "See: bash requirements/install.sh --help" ;;
  esac
done

if ((check_only)); then
  find_python
  find_compiler
  printf 'Python %s (%s), %s: good\n' "$(python_version "$python")" "$python" "$CXX"
  if stack_up_to_date && project_up_to_date; then
    echo '.venv is up to date'
  else
    echo '.venv is missing or out of date'
  fi
  exit 0
fi

if ! ((force)) && stack_up_to_date; then
  if project_up_to_date; then
    echo 'Installed already: .venv is up to date.'
  else
    echo 'The stack is up to date; installing the changed project.'
    python=$venv/bin/python
    find_uv
    install_project
    write_stamp
  fi
  exit 0
fi

step 'Check the tools'
find_python
find_compiler
find_uv
say "Python $(python_version "$python"), $CXX, $("$uv" --version)"
prepare_venv
# Gone until the end, so that an interrupted run is not taken for a finished one.
rm -f "$stamp"

step 'Install the locked packages (several GB the first time)'
# sync, not install: it also removes what an older lock had left, and mmcv and the project, which
# follow below.
# Compiled once here, or every start without a writable cache of bytecode takes 20 s longer.
"$uv" pip sync --compile-bytecode --python "$venv/bin/python" --require-hashes requirements/lock.txt

step 'Provide the mmcv wheel'
provide_mmcv_wheel

step 'Install mmcv and the project'
"$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --no-deps \
  "$mmcv_wheel" ||
  fail "the mmcv wheel could not be installed" "Remove ${mmcv_wheel%/*} and run this again."
install_project

step 'Check the installation'
"$venv/bin/python" -m gcp_mm.doctor ||
  fail 'the installation does not work' 'The rows marked FAIL above say what to do.'
write_stamp
printf 'Installed in %d s.\n' "$SECONDS"
