#!/usr/bin/env bash
# Fills a folder that `make install OFFLINE=folder` installs from; `make bundle` runs this.
set -euo pipefail

case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
root=$(pwd -P)
readonly root

usage() {
  cat <<'TEXT'
Usage: bash requirements/bundle.sh

Fills a folder with all that `make install OFFLINE=folder` needs on a machine of the same kind and
Python: the wheels of the lock and of uv, and with MMCV=build the source of mmcv. What is there is
not downloaded again. SHA256SUMS is written last: two bundles of the same lock have the same one.
The folder has to be new, empty or a bundle; from a bundle, what an older lock needed is removed.

Environment (or make bundle NAME=VALUE):
  BUNDLE   the folder (default: bundle)
  PYTHON, STACK, MMCV   as for make install
TEXT
}

say() { printf '%s\n' "$*"; }

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

# uv cannot download, so pip does. In an environment of its own, so that nothing is installed first,
# with what the metadata of a source archive is made with.
download() {
  local -a with=()
  local package
  for package in pip setuptools wheel packaging; do
    with+=(--with "$package==$(locked_version "$package")")
  done
  "$uv" run --quiet --no-project "${index[@]}" --python "$python_base" "${with[@]}" \
    python -m pip download --disable-pip-version-check --no-build-isolation --no-deps \
    --require-hashes --dest "$folder" "$@" | tee -a "$log"
}

# Prints the files that pip named in this run.
downloaded() {
  sed -nE 's#^ *(Saved|File was already downloaded) (.*/)?([^/]+)$#\3#p' "$log" | LC_ALL=C sort -u
}

# Keeps, under the inputs, the names of all that runs like this one have put into the folder ($1:
# those of before): nothing else is ever removed.
keep_list() {
  {
    printf '%s\n' "$inputs"
    { printf '%s\n' "$1" && downloaded; } | sed '/^$/d' | LC_ALL=C sort -u
  } >"$folder/.inputs.new"
  mv "$folder/.inputs.new" "$folder/.inputs"
}

case ${1:-} in
  '') ;;
  -h | --help) usage && exit 0 ;;
  *) fail "unknown option '$1'" 'See: bash requirements/bundle.sh --help' ;;
esac

wanted_mode=${MMCV:-lite}
# The headers are the business of the machine that installs.
unset OFFLINE MMCV
read_settings
mmcv_mode=lite
if [[ ${TORCH:-default} != default ]]; then
  fail "a bundle has the torch of the lock, not TORCH=$TORCH"
elif [[ ${PYTHON:-} == managed ]]; then
  fail 'PYTHON=managed is not a Python that a bundle can be filled for' \
    'Name the version: make bundle PYTHON=python3.12'
fi
find_utilities
find_python
find_uv
report_missing
provide_uv
use_pip_settings
# pip downloads: what uv was told itself serves it too.
while IFS= read -r setting; do export "${setting?}"; done < <(
  "$python" requirements/uv_settings.py
)
index=()
if [[ -n ${PIP_NO_INDEX:-} ]]; then index=(--no-index); fi

folder=${BUNDLE:-bundle}
mkdir -p "$folder" .cache
folder=$(cd "$folder" && pwd -P)
inputs=$(bundle_inputs) sums=$folder/SHA256SUMS log=$root/.cache/bundle.log earlier=''
if [[ -f $folder/.inputs ]]; then
  # Older bundles have the names in SHA256SUMS only.
  earlier=$(sed 1d "$folder/.inputs")
  if [[ -f $sums ]]; then earlier+=$'\n'$(sed -nE 's/^[0-9a-f]{64}  //p' "$sums"); fi
elif [[ -n $(find "$folder" -mindepth 1 -print -quit) ]]; then
  fail "$folder has files in it and is not a bundle" 'Name a new folder: make bundle BUNDLE=FOLDER'
fi
: >"$log"
keep_list "$earlier"
trap 'keep_list "$earlier"' EXIT
rm -f "$sums"

say "Filling $folder for $inputs (several GB the first time)"
# The archives of the forks, which have no wheels, are built where they are installed.
archives=()
if [[ $stack == onedl ]]; then
  archives=(--no-binary "onedl-mim,onedl-mmcv,onedl-mmdetection,onedl-mmpretrain")
fi
download --only-binary :all: "${archives[@]}" -r "$lock"
download --only-binary :all: -r requirements/uv.txt
if [[ $wanted_mode == build ]]; then download --no-binary mmcv -r requirements/mmcv.txt; fi

mapfile -t files < <(downloaded)
if ((${#files[@]} == 0)); then fail 'pip did not say what it downloaded' "Its output: $log"; fi
# What an older lock or another Python had left.
while read -r file; do
  case $file in '' | */*) continue ;; esac
  if [[ -f $folder/$file && " ${files[*]} " != *" $file "* ]]; then
    say "removing $file, which is not needed now"
    rm -f -- "${folder:?}/$file"
  fi
done <<<"$earlier"
trap - EXIT
keep_list ''
{
  printf '# inputs: %s\n' "$inputs"
  (cd "$folder" && sha256sum -- "${files[@]}")
} >"$sums.new"
mv "$sums.new" "$sums"
say "${#files[@]} files. On the other machine: make install OFFLINE=$folder"
