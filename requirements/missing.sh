# shellcheck shell=bash disable=SC2154,SC2034  # install.sh and bundle.sh source this.
# Collects all that a machine lacks and says it at once, with the command for its release.

missing=() missing_packages=() missing_hints=()

# Ends with a message; further arguments are its further lines.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

# Notes that $1 is missing, and which packages of Debian and Ubuntu have it.
lacks() {
  missing+=("$1")
  shift
  missing_packages+=("$@")
}

# Nothing but builtins up to here: on a small machine even these may be missing.
find_utilities() {
  local entry tool package
  local -A absent=()
  for entry in coreutils:cat coreutils:cp coreutils:cut coreutils:env coreutils:mkdir \
    coreutils:mktemp coreutils:mv coreutils:nproc coreutils:rm coreutils:sha256sum \
    coreutils:sleep coreutils:sort coreutils:tail coreutils:tr coreutils:uname mawk:awk \
    findutils:find grep:grep sed:sed; do
    package=${entry%:*} tool=${entry#*:}
    if ! command -v "$tool" >/dev/null; then absent[$package]+=" $tool"; fi
  done
  utilities_missing=${absent[*]-}
  for package in "${!absent[@]}"; do lacks "the commands${absent[$package]}" "$package"; done
}

# Sets release_name, debian (1 or 0) and release_codename from os-release.
read_release() {
  local key value like='' codename='' ubuntu_codename='' file=${GCP_MM_OS_RELEASE:-/etc/os-release}
  release_name='this system' debian=0 release_codename=''
  if [[ ! -r $file ]]; then return; fi
  while IFS='=' read -r key value || [[ -n $key ]]; do
    value=${value//[\"\']/}
    case $key in
      ID | ID_LIKE) like+=" $value " ;;
      PRETTY_NAME) release_name=$value ;;
      VERSION_CODENAME) codename=$value ;;
      UBUNTU_CODENAME) ubuntu_codename=$value ;;
    esac
  done <"$file"
  # Ubuntu's first: what is made from it (Mint) has codenames of its own.
  release_codename=${ubuntu_codename:-$codename}
  case $like in *' debian '* | *' ubuntu '*) debian=1 ;; esac
}

# Sets release_python to the Python that the release calls python3, or nothing for an unknown one.
find_release_python() {
  read_release
  case $release_codename in
    bionic) release_python=3.6 ;;
    buster) release_python=3.7 ;;
    focal) release_python=3.8 ;;
    bullseye) release_python=3.9 ;;
    jammy) release_python=3.10 ;;
    bookworm) release_python=3.11 ;;
    noble) release_python=3.12 ;;
    trixie | plucky | questing) release_python=3.13 ;;
    resolute) release_python=3.14 ;;
    *) release_python='' ;;
  esac
}

# True if python3 of the release can be used, as far as is known.
release_python_fits() {
  ((debian)) || return 1
  case $release_python in 3.6 | 3.7 | 3.8 | 3.9) return 1 ;; esac
}

# Packages are named without a version (python3-dev): every release has those, and python3.11-dev
# only one. They serve the Python of the release and no other, hence the hint.
lacks_of_python() {
  if ! release_python_fits; then
    lacks "$1"
  else
    lacks "$1" "$2"
    if [[ -n ${python:-} && ! ${python_base:-} -ef /usr/bin/python3 ]]; then
      missing_hints+=("then, with the Python of the system: make install PYTHON=/usr/bin/python3")
    fi
  fi
}

# Ends the installation if anything was missing.
report_missing() {
  local text command='apt-get install'
  local -A seen=()
  local -a packages=()
  if ((${#missing[@]} == 0)); then return; fi
  if ! command -v make >/dev/null; then lacks "make (or use: bash requirements/install.sh)" make; fi
  printf 'error: this machine lacks\n' >&2
  for text in "${missing[@]}"; do printf '  - %s\n' "$text" >&2; done
  for text in ${missing_packages[@]+"${missing_packages[@]}"}; do
    if [[ -z ${seen[$text]:-} ]]; then packages+=("$text"); fi
    seen[$text]=1
  done
  if ((debian && ${#packages[@]})); then
    if ((EUID)); then command="sudo $command"; fi
    printf 'On %s:\n  %s %s\n' "$release_name" "$command" "${packages[*]}" >&2
  fi
  seen=()
  for text in ${missing_hints[@]+"${missing_hints[@]}"}; do
    if [[ -z ${seen[$text]:-} ]]; then printf '%s\n' "$text" >&2; fi
    seen[$text]=1
  done
  exit 1
}
