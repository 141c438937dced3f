# shellcheck shell=bash disable=SC2154,SC2034  # install.sh and bundle.sh source this.
# Finds uv, and for MMCV=build the compilers.

# Builtins only: what is missing has not been said yet.
while read -r pin _; do
  case $pin in uv==*) uv_version=${pin#uv==} ;; esac
done <requirements/uv.txt
readonly uv_version private_uv=$root/.cache/uv

# True if $1 is a uv that knows the options used here.
uv_works() {
  local _ version major minor
  read -r _ version _ < <("$1" --version 2>/dev/null) || return 1
  IFS=. read -r major minor _ <<<"$version"
  ((major > 0 || minor >= 8))
}

# Sets uv: the one on PATH, or a pinned one of our own under .cache, which provide_uv puts there.
find_uv() {
  for uv in uv "$private_uv/bin/uv"; do
    if uv_works "$uv"; then return; fi
  done
  if [[ -n $offline && -n $python ]]; then return; fi
  if [[ -z $python ]]; then
    # Python's own line says it already, unless uv is to bring that.
    if [[ ${PYTHON:-} == managed ]]; then
      lacks 'uv, which brings Python: https://docs.astral.sh/uv/getting-started/installation says how;
    any Python from 3.8 on with its venv module can put it there too' python3 python3-venv
    elif release_python_fits; then
      missing_packages+=(python3-venv)
    fi
  elif [[ $python_has != *' venv '* ]]; then
    if [[ ${PYTHON:-} == managed ]]; then
      # Any version serves here, also one that .venv cannot be made of.
      lacks "uv, which brings Python, or the venv module of $python that uv is installed with" \
        python3-venv
    else
      lacks_of_python "uv, or the venv module of $python that it is installed with" python3-venv
    fi
  fi
}

# Installs uv where find_uv found none.
provide_uv() {
  local wheel digest
  if uv_works "$uv"; then return; fi
  say "no uv on PATH: putting uv $uv_version into .cache/uv"
  rm -rf "$private_uv"
  if [[ -n $offline ]]; then
    # A wheel is a zip file, and uv a program without dependencies: neither venv nor pip is needed.
    wheel=$(compgen -G "$offline/uv-$uv_version-*.whl") ||
      fail "$offline has no wheel of uv $uv_version" 'Fill the folder again: make bundle'
    digest=$(sha256sum <"$wheel") && digest=${digest%% *}
    grep -q -- "--hash=sha256:$digest" requirements/uv.txt ||
      fail "$wheel is not the uv of requirements/uv.txt: its SHA-256 is $digest" \
        'Fill the folder again: make bundle'
    "$python" -c 'import os, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
(name,) = [name for name in archive.namelist() if name.endswith("/scripts/uv")]
os.makedirs(os.path.dirname(sys.argv[2]))
with open(sys.argv[2], "wb") as program:
    program.write(archive.read(name))
os.chmod(sys.argv[2], 0o755)' "$wheel" "$private_uv/bin/uv" ||
      fail "$wheel could not be unpacked" 'Fill the folder again: make bundle'
    return
  fi
  "$python" -m venv "$private_uv" >/dev/null 2>&1 ||
    fail "$python cannot make a virtual environment, which uv is installed into" \
      'Install uv yourself; the one on PATH is used.'
  "$private_uv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --require-hashes -r requirements/uv.txt ||
    fail 'uv could not be downloaded from the package index' 'Is the network up?'
}

# Sets CXX, the variable torch's extension builder reads.
find_compiler() {
  local candidate
  for candidate in ${CXX:+"$CXX"} c++ g++; do
    command -v "${candidate%% *}" >/dev/null || continue
    export CXX=$candidate
    # Compilers come apart from their standard library: only a compilation tells.
    # shellcheck disable=SC2086
    if ! printf '#include <optional>\n' | $CXX -std=c++17 -fsyntax-only -x c++ - 2>/dev/null; then
      lacks "a C++17 compiler: $CXX is there and cannot compile <optional>" g++
    fi
    find_nvcc
    return
  done
  lacks 'a C++17 compiler (c++ or g++), for MMCV=build' g++
  find_nvcc
}
