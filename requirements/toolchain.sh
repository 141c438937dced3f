# shellcheck shell=bash disable=SC2154  # root and venv are set by install.sh, which sources this.
# Finds the Python, the C++ compiler and the uv that requirements/install.sh needs.

readonly uv_version=0.13.9

# Prints "3.11.7", or nothing for what does not run: pyenv leaves shims of versions it lacks.
python_version() {
  "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || true
}

# Prints why $1 cannot be used, or nothing.
python_objection() {
  local version
  if ! command -v "$1" >/dev/null; then
    echo 'not found'
    return
  fi
  version=$(python_version "$1")
  case $version in
    '') echo 'is there but does not run' ;;
    3.10.* | 3.11.* | 3.12.*)
      if ! "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'; then
        echo "is $version, without the headers (Python.h): apt-get install python${version%.*}-dev"
      fi
      ;;
    *) echo "is $version, and 3.10, 3.11 or 3.12 is needed" ;;
  esac
}

# Sets python.
find_python() {
  local candidate objection
  local -a candidates=(python3 python3.12 python3.11 python3.10) objections=()
  if [[ -n ${PYTHON:-} ]]; then
    candidates=("$PYTHON")
  elif [[ -x $venv/bin/python ]]; then
    candidates=("$venv/bin/python" "${candidates[@]}")
  fi
  for candidate in "${candidates[@]}"; do
    objection=$(python_objection "$candidate")
    if [[ -z $objection ]]; then
      python=$(command -v "$candidate")
      return
    fi
    objections+=("  $candidate: $objection")
  done
  fail 'no suitable Python. Looked at' "${objections[@]}" \
    'Install one with headers, on Debian or Ubuntu for example' \
    '  apt-get install python3.11 python3.11-dev python3.11-venv' \
    'or name one: make install PYTHON=/path/to/python3.11'
}

# Sets CXX, the variable torch's extension builder reads.
find_compiler() {
  local candidate include
  for candidate in ${CXX:+"$CXX"} c++ g++; do
    if command -v "${candidate%% *}" >/dev/null; then
      export CXX=$candidate
      include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
      # Compilers come apart from their standard library: only a compilation tells.
      # shellcheck disable=SC2086
      if ! printf '#include <Python.h>\n#include <optional>\n' |
        $CXX -std=c++17 -fsyntax-only -I "$include" -x c++ - 2>/dev/null; then
        fail "the C++ compiler $CXX cannot compile a C++17 file with Python.h" \
          'On Debian or Ubuntu: apt-get install g++; or set CXX to another compiler.'
      fi
      return
    fi
  done
  fail 'no C++ compiler (c++ or g++), which mmcv is built with' \
    'On Debian or Ubuntu: apt-get install g++; elsewhere set CXX to your compiler.'
}

# Sets uv: the one on PATH, or a pinned one of our own under .cache.
find_uv() {
  local private=$root/.cache/uv
  for uv in uv "$private/bin/uv"; do
    if "$uv" --version >/dev/null 2>&1; then return; fi
  done
  say "uv is not on PATH: putting uv $uv_version into .cache/uv"
  rm -rf "$private"
  if ! "$python" -m venv "$private" >/dev/null 2>&1; then
    rm -rf "$private"
    fail "$python cannot make a virtual environment, which uv is installed into" \
      "On Debian or Ubuntu: apt-get install python$(python_version "$python" | cut -d . -f 1,2)-venv" \
      'Or install uv yourself; the one on PATH is used.'
  fi
  "$private/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version" ||
    fail 'uv could not be downloaded from the package index' 'Is the network up?'
}
