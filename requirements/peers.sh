#!/usr/bin/env bash
# Puts what the pages show, and .venv cannot have, into .cache/peers/PYTHON; `make test` runs this.
# No process looks there that is not told to. Where it cannot be had (no network) that is
# said in one line, and the tests that need it are skipped.
set -euo pipefail

case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
root=$(pwd -P)
readonly root wanted=requirements/peers.txt log=.cache/peers.log

say() { printf '%s\n' "$*"; }

leave_out() {
  say "Left out: what the pages show with transformers, Lightning and grad-cam; $1"
  exit 0
}

# A few small packages are not worth the minutes that settings.sh grants to gigabytes.
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-30} UV_HTTP_RETRIES=${UV_HTTP_RETRIES:-1}
# shellcheck source=requirements/settings.sh
source requirements/settings.sh
# shellcheck source=requirements/missing.sh
source requirements/missing.sh
# shellcheck source=requirements/toolchain.sh
source requirements/toolchain.sh
# shellcheck source=requirements/packages.sh
source requirements/packages.sh
# shellcheck source=requirements/stamp.sh
source requirements/stamp.sh

read_settings
# Of any of our environments: what both stacks have, in their versions, is not among it.
python=$venv/bin/python python_has=' venv '
folder=.cache/peers/$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# The lock that a folder is of is in it.
if [[ -f $folder/peers.txt && $(<"$folder/peers.txt") == "$(<"$wanted")" ]]; then exit 0; fi
if [[ -n $offline ]]; then leave_out 'a bundle has no packages for it.'; fi

mkdir -p .cache/peers
: >"$log"
find_uv
# `make clean` takes the one in .cache away.
(provide_uv) >>"$log" 2>&1 || leave_out "there is no uv ($log)."
use_pip_settings
source=()
if [[ -n ${UV_NO_INDEX:-} ]]; then source=(--no-index); fi
new=.cache/peers/new.$$
trap 'rm -rf "$new"' EXIT
say 'Installing what the pages show with transformers, Lightning and grad-cam (34 MB) ...'
# Of grad-cam there is no wheel; the setuptools of the stack makes one (it is Python alone).
"$uv" pip install --quiet --python "$python" --target "$new" ${source[@]+"${source[@]}"} --no-deps \
  --require-hashes --only-binary :all: --no-binary grad-cam --no-build-isolation-package grad-cam \
  --requirements "$wanted" >>"$log" 2>&1 || {
  # A lock that no index can serve would be left out for ever.
  if grep -q 'Hash mismatch' "$log"; then
    fail "an index has other files than $wanted names ($log): make lock, or another index"
  fi
  leave_out "no index has it ($log)."
}
cp "$wanted" "$new/peers.txt"
rm -rf "$folder"
mv -T "$new" "$folder"
