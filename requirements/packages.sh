# shellcheck shell=bash disable=SC2154  # install.sh and bundle.sh source this.
# Installs the locked packages: from an index, a mirror or a bundle, with the torch asked for.

# What a torch from elsewhere brings itself.
readonly torch_packages='torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*'

# Prints the version of $1 in the lock.
locked_version() { sed -n "s/^$1==\([^ ]*\).*/\1/p" "$lock"; }

# Prints the lock without the packages that match $1. "===" because a folder of wheels (find-links)
# may hold 2.13.0+cpu, which "==2.13.0" prefers and whose hash is then the wrong one.
locked_requirements() {
  awk -v drop="^($1)==" '/^[^ #]/ {skip = $1 ~ drop} !skip' "$lock" |
    sed -E 's/^([A-Za-z0-9._-]+)==/\1===/'
}

# Makes uv ask where pip would: what is found is exported, what uv was told itself stays.
use_pip_settings() {
  local setting
  if [[ -z $python ]]; then return; fi
  while IFS= read -r setting; do
    export "${setting?}"
    say "as pip: ${setting%%=*}"
  done < <("$python" requirements/pip_settings.py)
  # Mirrors and extra indexes hold some versions of a package. uv's default is to stop at the first
  # index that knows the name, against strangers' packages; the hashes of the lock guard better.
  export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}
}

install_packages() {
  local dropped='-' requirements=$root/.cache/$stack-requirements.txt broken=$damaged
  local -a source=() again=()
  if ((force)); then
    again=(--reinstall)
    broken=$(broken_packages contents)
    if [[ -n $broken ]]; then say "contents are not those of the packages: $broken"; fi
  fi
  forget "$broken"
  if [[ $torch_source != default ]]; then dropped+="|$torch_packages"; fi
  if [[ -n $offline ]]; then
    unset UV_INDEX UV_EXTRA_INDEX_URL UV_DEFAULT_INDEX UV_INDEX_URL UV_FIND_LINKS
    source=(--offline --no-index --find-links "$offline")
  else
    use_pip_settings
    if [[ -n ${UV_NO_INDEX:-} ]]; then source=(--no-index); fi
  fi
  mkdir -p "${requirements%/*}"
  locked_requirements "$dropped" >"$requirements"
  # sync, not install: it also removes what an older lock had left, and mmcv and the project, which
  # follow below; until mmcv is built, mmcv-lite serves. Compiled once here, 25 s on two cores: a
  # folder that others only read is not written to later, and every start would take 20 s longer.
  sync_packages
  # What was damaged in .venv by way of another clone, which shares the files of uv's cache.
  broken=$(broken_packages sizes)
  if [[ -z $broken ]]; then return; fi
  say "damaged in uv's cache, hence taken anew: $broken"
  again=() && forget "$broken"
  sync_packages
  broken=$(broken_packages sizes)
  if [[ -n $broken ]]; then
    say "still missing or damaged in $venv_name: $broken" 'Look at the disk: it may be failing.'
  fi
}

sync_packages() {
  "$uv" pip sync --compile-bytecode --python "$venv/bin/python" "${source[@]}" \
    ${again[@]+"${again[@]}"} --require-hashes \
    "$requirements"
  if [[ $torch_source != default ]]; then install_other_torch; fi
}

# Prints which of the packages that are here are not whole; $1 says how that is found out.
broken_packages() {
  local -a names
  read -ra names <<<"$(installed_packages list)"
  if ((${#names[@]})); then installed_packages "$1" "${names[@]}"; fi
}

# Has packages, named by their *.dist-info, installed again, and not from uv's cache: the files there
# are those of .venv (hard links), so that what was cut in one place is cut in the other. uv goes by
# the names of what is installed, and not by its files.
forget() {
  local name
  local -a names=()
  for name in $1; do
    name=${name%%-*}
    if [[ $name == gcp_mm ]]; then continue; fi
    names+=("$name")
    again+=(--reinstall-package "$name")
  done
  # Without a cache that can be written nothing in there is ours.
  if ((${#names[@]})); then "$uv" cache clean --quiet "${names[@]}" || true; fi
}

# The lock's hashes are those of PyPI, so this is checked by nothing but the version.
install_other_torch() {
  local -a from=(--torch-backend "$torch_source")
  case $torch_source in *://*) from=(--index "$torch_source") ;; esac
  say "torch from $torch_source, which the lock has no hashes for"
  # The first index that has a package is the one that was asked for.
  UV_INDEX_STRATEGY=first-index "$uv" pip install --compile-bytecode \
    --python "$venv/bin/python" "${from[@]}" ${again[@]+"${again[@]}"} \
    "torch==$(locked_version torch)" "torchvision==$(locked_version torchvision)" ||
    fail "no torch $(locked_version torch) was found for TORCH=$torch_source" \
      'The backends of this version: https://download.pytorch.org/whl/torch'
}

# Notes what the bundle in $offline lacks.
check_bundle() {
  local wanted had release name absent=''
  wanted=$(bundle_inputs)
  had=$(sed -n 's/^# inputs: //p' "$offline/SHA256SUMS" 2>/dev/null) || true
  if [[ -z $had ]]; then
    lacks "a filled folder: $offline has no SHA256SUMS, which \`make bundle\` writes last"
  elif [[ $had != "$wanted" ]]; then
    lacks "a folder for this machine and lock: $offline is for
      $had
    and this is
      $wanted"
    release=${had#Python } && release=${release%%,*}
    if [[ ${had#*, } == "${wanted#*, }" ]]; then
      missing_hints+=("Only the Python is another; if python$release is here: PYTHON=python$release")
    fi
  else
    while read -r _ name; do
      if [[ ! -f $offline/$name ]]; then absent+=" $name"; fi
    done < <(grep -v '^#' "$offline/SHA256SUMS")
    if [[ -n $absent ]]; then lacks "in $offline:${absent// /$'\n'      }"; fi
    if [[ $mmcv_mode == build ]] && ! compgen -G "$offline/mmcv-*.tar.gz" >/dev/null; then
      lacks "in $offline: the source of mmcv (fill it with: make bundle MMCV=build)"
    fi
  fi
  if ((${#missing[@]})); then missing_hints+=('Bundles are filled by: make bundle BUNDLE=FOLDER'); fi
}

# Prints what decides the files of a bundle.
bundle_inputs() {
  local hashes
  hashes=$(cat "$lock" requirements/{uv,mmcv}.txt | sha256sum)
  printf 'Python %s, %s, STACK=%s, locks %s\n' "$(cut -d . -f 1,2 <<<"$python_release")" \
    "$(uname -m)" "$stack" "${hashes:0:12}"
}
