# shellcheck shell=bash disable=SC2154,SC2034  # install.sh and bundle.sh source this.
# Finds the Python that .venv is made of.

readonly supported_pythons='3.10 to 3.14' managed_python=3.12

# Prints "VERSION IMPLEMENTATION BITS THREADING LIBC HEADERS VENV", or nothing for what does not run:
# pyenv leaves shims of versions it lacks. One start for all of it, because a shim takes 0.1 s.
python_facts() {
  "$1" -c '
import os, platform, struct, sys, sysconfig
from importlib.util import find_spec
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION").replace(" ", "-")
except (AttributeError, ValueError, OSError):
    libc = "other"
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
free = sysconfig.get_config_var("Py_GIL_DISABLED")
print(platform.python_version(), platform.python_implementation(), struct.calcsize("P") * 8,
      "free-threaded" if free else "gil", libc,
      "headers" if os.path.exists(header) else "-",
      "venv" if find_spec("ensurepip") else "-",
      os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))
' 2>/dev/null || true
}

# Prints "3.11.7", or nothing.
python_version() {
  "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || true
}

# Prints why the Python $1 with the facts $2 cannot be used, or nothing.
python_objection() {
  local version implementation bits threading libc rest
  read -r version implementation bits threading libc rest <<<"$2"
  case $version in
    '')
      if command -v "$1" >/dev/null; then echo 'is there but does not run'; else echo 'not found'; fi
      return
      ;;
    3.1[0-4].*) ;;
    *)
      echo "is $version, and $supported_pythons is needed"
      return
      ;;
  esac
  if [[ $implementation != CPython ]]; then
    echo "is $implementation, and the packages have wheels for CPython only"
  elif [[ $bits != 64 ]]; then
    echo "is a $bits-bit Python, and torch has wheels for 64 bits only"
  elif [[ $threading == free-threaded ]]; then
    echo "is a free-threaded $version, for which opencv-python-headless and others have no wheels"
  elif [[ $OSTYPE == linux* ]] && ! libc_fits "$libc"; then
    echo "runs on the C library ${libc/-/ }, and torch's wheels need glibc 2.28 or newer"
  fi
}

libc_fits() {
  [[ $1 == glibc-* ]] || return 1
  local major minor
  # Development versions are called 2.42.9000.
  IFS=. read -r major minor _ <<<"${1#glibc-}"
  minor=${minor%%[!0-9]*}
  ((major > 2 || (major == 2 && ${minor:-0} >= 28)))
}

# Prints every python3 on PATH: the first is often a shim of pyenv or conda that hides a good one.
pythons_on_path() {
  local path previous=''
  while read -r path; do
    # /bin is a link to /usr/bin on most systems.
    if [[ ! $path -ef $previous ]]; then printf '%s\n' "$path"; fi
    previous=$path
  done < <(type -aP python3)
}

# Sets python, python_release, python_base and python_has (" headers venv "); notes what is missing.
find_python() {
  local candidate facts objection release _ headers has_venv base
  local -a candidates objections=()
  python='' python_release='' python_base='' python_has=' '
  find_release_python
  if [[ ${PYTHON:-} == managed ]]; then
    # Only uv is needed, and any Python with venv can put that there.
    mapfile -t candidates < <(pythons_on_path)
    for candidate in "${candidates[@]}"; do
      facts=$(python_facts "$candidate")
      if [[ -n $facts && (-z $python || $facts == *' venv '*) ]]; then
        python=$candidate
        read -r _ _ _ _ _ _ has_venv python_base <<<"$facts"
        python_has=" headers $has_venv "
        if [[ $has_venv == venv ]]; then return; fi
      fi
    done
    return
  elif [[ -n ${PYTHON:-} ]]; then
    candidates=("$PYTHON")
  else
    candidates=()
    if [[ -x $venv/bin/python ]]; then candidates+=("$venv/bin/python"); fi
    mapfile -t -O ${#candidates[@]} candidates < <(pythons_on_path)
    candidates+=(python3.13 python3.12 python3.11 python3.10 python3.14)
  fi
  for candidate in "${candidates[@]}"; do
    facts=$(python_facts "$candidate")
    objection=$(python_objection "$candidate" "$facts")
    if [[ -n $objection ]]; then
      objections+=("    $candidate: $objection")
      continue
    fi
    read -r release _ _ _ _ headers has_venv base <<<"$facts"
    # One without headers is kept in case that none has them.
    if [[ -z $python || $headers == headers ]]; then
      python=$(command -v "$candidate")
      python_release=$release python_base=$base python_has=" $headers $has_venv "
    fi
    if [[ $mmcv_mode == lite || $headers == headers ]]; then break; fi
  done
  if [[ -z $python ]]; then
    lacks_of_python "$(printf '%s\n' "Python $supported_pythons (64-bit CPython). Looked at:" \
      "${objections[@]}")" python3
    if ((debian)) && ! release_python_fits; then
      missing_hints+=("$release_name has Python $release_python only.")
    fi
    missing_hints+=('To name one that is elsewhere: make install PYTHON=/path/to/python3'
      "To let uv download Python $managed_python into your home: make install PYTHON=managed")
  elif [[ $mmcv_mode == build && $python_has != *' headers '* ]]; then
    lacks_of_python "the headers (Python.h) of $python, Python $python_release, for MMCV=build" \
      python3-dev
  fi
}

# What the stamp keeps of where the Python came from.
python_source() {
  if [[ ${PYTHON:-} == managed || (-z ${PYTHON:-} && ${python:-} -ef $venv/bin/python) ]]; then
    echo "${PYTHON:-$(stamped python)}"
  fi
}

python_summary() {
  if [[ ${PYTHON:-} == managed ]]; then
    echo "uv's own Python $managed_python"
  else
    echo "Python $python_release ($python)"
  fi
}

venv_has_wanted_python() {
  local present
  present=$(python_version "$venv/bin/python")
  [[ -n $present ]] || return 1
  if [[ ${PYTHON:-} == managed ]]; then
    [[ $(stamped python) == managed ]]
  elif [[ -n ${PYTHON:-} ]]; then
    [[ $(python_version "$PYTHON") == "$present" ]]
  else
    [[ -z ${python_release:-} || $python_release == "$present" ]]
  fi
}

make_venv() {
  if [[ ${PYTHON:-} == managed ]]; then
    UV_PYTHON_DOWNLOADS=automatic "$uv" venv --quiet --no-project --allow-existing --prompt gcp_mm \
      --managed-python --python "$managed_python" "$venv" ||
      fail "uv could not provide Python $managed_python" \
        'It comes from github.com; UV_PYTHON_INSTALL_MIRROR names another place.'
    return
  fi
  UV_PYTHON_DOWNLOADS=never "$uv" venv --quiet --no-project --allow-existing --prompt gcp_mm \
    --python "$python_base" "$venv"
}
