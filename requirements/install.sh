#!/usr/bin/env bash
# Puts the tested stack and the project into .venv; `make install` runs this.
set -euo pipefail

case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
root=$(pwd -P)
readonly root kernels=gcp_mm/ops/cpu_kernels

usage() {
  cat <<'TEXT'
Usage: bash requirements/install.sh [--check-only | --force]

Puts the tested stack (requirements/lock.txt) and this project into .venv. Packages come as wheels:
no compiler is needed. Does nothing when that has been done for the present inputs.

  --check-only   name all that this machine lacks, change nothing
  --force        compare all files with the packages and install every package again

Environment (or make install NAME=VALUE):
  PYTHON         interpreter for .venv, 3.10 to 3.14 (default: the first suitable one on PATH);
                 "managed": uv's own, which it downloads
  STACK          onedl: the maintained forks of OpenMMLab, in .venv-onedl (default: openmmlab)
  MMCV           build: compiled mmcv, from source; lite: operators from torchvision.
                 Default: what is installed, else lite
  TORCH          a torch for other drivers: cpu, cu126, cu128, ... or the URL of a package index.
                 Default: what is installed, else that of the lock (TORCH=default goes back to it)
  OFFLINE        install from this folder, which `make bundle` filled, and reach for no index
  GCP_MM_CACHE   where built mmcv wheels are kept (default: ~/.cache/gcp_mm)
With MMCV=build:
  FORCE_CUDA     1: build mmcv's CUDA operators, 0: those for the CPU only (default: CUDA with a GPU)
  MAX_JOBS       parallel compilers (default: one for each core and 2 GB of free memory)

Index, mirror, proxy and certificate come from uv's variables, else from pip's and from pip.conf.
TEXT
}

say() { printf '      %s\n' "$*"; }

step_number=0
step() {
  step_number=$((step_number + 1))
  printf '[%d/%d] %4d s  %s\n' "$step_number" "$total_steps" "$SECONDS" "$1"
}

# shellcheck source=requirements/settings.sh
source requirements/settings.sh
# shellcheck source=requirements/missing.sh
source requirements/missing.sh
# shellcheck source=requirements/python.sh
source requirements/python.sh
# shellcheck source=requirements/toolchain.sh
source requirements/toolchain.sh
# shellcheck source=requirements/packages.sh
source requirements/packages.sh
# shellcheck source=requirements/stamp.sh
source requirements/stamp.sh
# shellcheck source=requirements/gpu.sh
source requirements/gpu.sh
# shellcheck source=requirements/mmcv_wheel.sh
source requirements/mmcv_wheel.sh

look_for_everything() {
  find_python
  find_uv
  if [[ $mmcv_mode == build ]]; then find_compiler; fi
  if [[ -n $offline && -n $python && -z $utilities_missing ]]; then check_bundle; fi
  report_missing
}

install_project() {
  # A relative --find-links would be looked for elsewhere; nothing is downloaded here anyway.
  "$uv" pip install --quiet --python "$venv/bin/python" --offline --no-deps --no-build-isolation \
    --editable .
}

# Choices are written down at once: a run that is interrupted does not forget them.
prepare_venv() {
  local moved_from source
  moved_from=$(stamped root) source=$(python_source)
  if [[ -n $moved_from && $moved_from != "$root" ]]; then
    say "making $venv_name anew: it was made for $moved_from"
  elif venv_has_wanted_python; then
    write_choices "$source"
    return
  elif [[ -e $venv ]]; then
    say "making $venv_name anew: it is not a working Python ${python_release:-of uv}"
  fi
  rm -rf "$venv"
  mkdir "$venv"
  write_choices "$source"
  make_venv
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

read_settings
find_utilities
# Without a Python that runs, the environment is made anew anyway.
damaged=$(damaged_packages) || damaged=''
if [[ -n $damaged ]]; then echo "Missing or damaged in $venv_name: $damaged"; fi
if ((check_only)); then
  look_for_everything
  printf '%s%s: good\n' "$(python_summary)" "${CXX:+, $CXX}"
  if stack_up_to_date && project_up_to_date; then
    echo "$venv_name is up to date"
  else
    echo "$venv_name is missing or out of date"
  fi
  exit 0
fi

if ! ((force)) && [[ -z $utilities_missing ]] && stack_up_to_date; then
  if project_up_to_date; then
    echo "Installed already: $venv_name is up to date."
  else
    echo 'The stack is up to date; installing the changed project.'
    # Only to put uv there: the headers are of no use now.
    mmcv_mode=lite find_python
    find_uv
    report_missing
    provide_uv
    install_project
    write_stamp
  fi
  exit 0
fi

total_steps=4
if [[ $mmcv_mode == build ]]; then total_steps=5; fi
step 'Check the machine'
look_for_everything
provide_uv
say "$(python_summary), $("$uv" --version)"
prepare_venv

step 'Install the locked packages (several GB the first time)'
install_packages
if [[ $mmcv_mode == build ]]; then
  step 'Build and install mmcv'
  provide_mmcv_wheel
  # One folder of both: the other way round, the files of mmcv would go with mmcv-lite.
  "$uv" pip uninstall --quiet --python "$venv/bin/python" mmcv-lite
  "$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --offline --no-deps \
    "$mmcv_wheel" ||
    fail "the mmcv wheel could not be installed" "Remove ${mmcv_wheel%/*} and run this again."
fi

step 'Install the project'
install_project

step 'Check the installation'
check_installation
write_stamp
printf 'Installed in %d s.\n' "$SECONDS"
