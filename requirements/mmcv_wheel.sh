# shellcheck shell=bash disable=SC2154,SC2034  # install.sh sources this: it sets root and venv.
# Builds mmcv's wheel once for a machine and keeps it, for MMCV=build.

# Prints "cp311 2.13.0+cu130 13" (cpython tag, torch, its CUDA) without the seconds torch takes to
# import. The dist-info has no "+cu130", and a wheel built for a CPU torch does not load in the other.
torch_tags() {
  "$venv/bin/python" - <<'PYTHON'
import pathlib, runpy, sys
from importlib.util import find_spec
torch = runpy.run_path(str(pathlib.Path(find_spec("torch").origin).with_name("version.py")))
cuda = (torch["cuda"] or "none").split(".")[0]
print(f"cp{sys.version_info[0]}{sys.version_info[1]} {torch['__version__']} {cuda}")
PYTHON
}

# Sets compiler_settings so that mmcv's files share a precompiled header, which is kept in folder $1.
# Not for clang, which would need other options, nor for a launcher (ccache), which cannot keep what
# is compiled with one, nor where 1.5 GB of space are not to be had.
choose_compiler() {
  local free
  compiler_settings=()
  free=$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 {print $4}')
  case ${CXX%% *} in *ccache | *distcc | *icecc) return ;; esac
  # torch splits CXX at blanks, so the wrapper is called by a path without; nor may the folder be one
  # that nothing is executed in.
  case $1 in *[[:space:]]*) return ;; esac
  cp requirements/precompiled_cxx.sh "$1/"
  if [[ ! -x $1/precompiled_cxx.sh ]]; then return; fi
  # shellcheck disable=SC2086
  if ((${free:-0} > 1500000)) && $CXX -dM -E -x c++ - </dev/null 2>/dev/null |
    awk '/__clang__/ {clang = 1} /__GNUC__/ {gnu = 1} END {exit !gnu || clang}'; then
    mkdir "$1/header"
    compiler_settings=("GCP_MM_CXX=$CXX" "GCP_MM_PCH=$1/header"
      "CXX=$1/precompiled_cxx.sh")
  fi
}

compiler_jobs() {
  local by_memory cores
  cores=$(nproc)
  by_memory=$(awk '/^MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
  if ((by_memory < cores)); then cores=$by_memory; fi
  echo $((cores > 0 ? cores : 1))
}

# Follows the build of process $1 through its log $2: one line that changes, or one in 30 s.
watch_build() {
  local started=$SECONDS told=$SECONDS count='' seen built all text
  while kill -0 "$1" 2>/dev/null; do
    sleep 0.5
    seen=$(tail -c 200000 "$2" | { grep -aoE '^ *\[[0-9]+/[0-9]+\]' || true; } | tail -n 1 | tr -d ' []')
    count=${seen:-$count}
    built=${count%/*} all=${count#*/} text='preparing'
    if [[ -n $count && $built == "$all" ]]; then
      text="$built of $all files compiled, linking"
    elif [[ -n $count ]]; then
      text="$built of $all files compiled, about"
      text+=" $(((SECONDS - started) * (all - built) / built / 60 + 1)) min left"
    fi
    if [[ -t 1 ]]; then
      printf '\r\033[K      %s (%d s)' "$text" $((SECONDS - started))
    elif ((SECONDS - told >= 30)); then
      told=$SECONDS
      say "$text ($((SECONDS - started)) s)"
    fi
  done
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
}

# Prints what the log $1 of a failed build suggests.
likely_cure() {
  if grep -qE 'No space left' "$1"; then
    echo 'Free some disk space, or set TMPDIR to a disk that has it.'
  elif grep -qE 'Killed|out of memory|cannot allocate' "$1"; then
    echo 'Memory ran out: make install MMCV=build MAX_JOBS=1'
  elif grep -qE 'DO NOT MATCH THE HASHES' "$1"; then
    echo 'The downloaded archive is not the expected one: check the package index or mirror.'
  elif grep -qE 'Could not find a version|Connection|name resolution|Max retries' "$1"; then
    echo 'The package index was not reached: check the network, then run this again.'
  elif [[ $mmcv_ops != cpu ]]; then
    echo 'Install without it, with the operators of torchvision: make install MMCV=lite'
  else
    echo 'Look for the first "error:" in the log; g++ 9 or newer is needed.'
  fi
}

# Builds into the folder $1.
build_mmcv_wheel() {
  local log=$root/.cache/mmcv-build.log build force_cuda=1 status=0
  local -a hide_gpu=() compiler_settings source=()
  if [[ $mmcv_ops == cpu ]]; then
    # setup.py builds CUDA ops wherever torch sees a GPU, whatever FORCE_CUDA says.
    force_cuda=0 hide_gpu=(CUDA_VISIBLE_DEVICES=)
  fi
  export MAX_JOBS=${MAX_JOBS:-$(compiler_jobs)}
  say "building mmcv's ${mmcv_ops%%-*} operators from source with $MAX_JOBS compilers:" \
    'about 3 minutes for the CPU ones on 2 quiet cores, once for this machine'
  mkdir -p "${log%/*}"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  choose_compiler "$work"
  if [[ -n $offline ]]; then source=(--no-index --find-links "$offline"); fi
  # A group of its own, so that an interrupt ends the compilers too. pip's cache of built wheels
  # does not tell one torch from another, hence --no-cache-dir. -g0 halves the time.
  set -m
  env "${hide_gpu[@]}" "${compiler_settings[@]}" TMPDIR="$work" PATH="$venv/bin:$PATH" MMCV_WITH_OPS=1 \
    FORCE_CUDA=$force_cuda CFLAGS="-g0 ${CFLAGS:-}" \
    "$venv/bin/python" -m pip wheel -v --no-cache-dir --no-deps --no-build-isolation \
    --no-binary mmcv "${source[@]}" --require-hashes -r requirements/mmcv.txt -w "$work/wheel" \
    </dev/null >"$log" 2>&1 9>&- &
  build=$!
  set +m
  trap 'kill -TERM -- "-$build" 2>/dev/null; exit 130' INT TERM
  watch_build "$build" "$log"
  wait "$build" || status=$?
  trap - INT TERM
  if ((status)); then
    tail -n 30 "$log" >&2
    fail "mmcv was not built; the lines above end the log $log" "$(likely_cure "$log")"
  fi
  # Renamed into place whole: a build or copy that is cut off leaves no half wheel to be found.
  rm -rf "$1" "$1".tmp.*
  mkdir "$1.tmp.$$"
  cp "$work"/wheel/mmcv-*.whl "$1.tmp.$$/"
  mv -T "$1.tmp.$$" "$1"
  rm -rf "$work"
  trap - EXIT
}

# Sets mmcv_wheel and mmcv_ops.
provide_mmcv_wheel() {
  local cpython torch cuda version store locked=0
  local wheels=${GCP_MM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gcp_mm}/wheels
  read -r cpython torch cuda < <(torch_tags) || fail 'torch was not found in .venv'
  version=$(sed -n 's/^mmcv==\([^ ]*\).*/\1/p' requirements/mmcv.txt)
  choose_ops "$cuda"
  store=$wheels/mmcv-$version-$cpython-torch$torch-$mmcv_ops-$(uname -m)
  mkdir -p "$wheels" || fail "cannot write to $wheels" 'Set GCP_MM_CACHE to a folder of yours.'
  if ! compgen -G "$store/mmcv-*.whl" >/dev/null; then
    # Two clones that install at once: the second waits for the first one's wheel.
    # On a file system without locks each builds its own.
    exec 9>"$store.lock"
    if command -v flock >/dev/null; then
      flock -n 9 || locked=$?
      if ((locked == 1)); then
        say 'another install is building the same wheel; waiting for it'
        flock 9 || true
      fi
    fi
    if ! compgen -G "$store/mmcv-*.whl" >/dev/null; then build_mmcv_wheel "$store"; fi
    exec 9>&-
  else
    say "built before: $store"
  fi
  mmcv_wheel=$(compgen -G "$store/mmcv-*.whl")
}
