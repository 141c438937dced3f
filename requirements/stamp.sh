# shellcheck shell=bash disable=SC2154  # install.sh sources this.
# Tells whether .venv is what the present inputs ask for.

hash_files() { sha256sum -- "$@" </dev/null 2>/dev/null | sha256sum | cut -d ' ' -f 1; }

# What decides the contents of .venv; the path counts, because the scripts in there name it.
stack_fingerprint() {
  printf '%s %s %s\n' "$root" "$("$venv/bin/python" -c 'import sys; print(sys.version)')" \
    "$(hash_files "$lock" requirements/mmcv.txt requirements/*.sh)" | sha256sum | cut -d ' ' -f 1
}

# What the installed project copies or compiles; setup.py says why configs are copied.
project_fingerprint() {
  local -a files
  mapfile -t files < <(
    find setup.py pyproject.toml model-index.yml configs tools gcp_mm/mmcv_ext \
      "$kernels"/{csrc,digest.py} -type f -not -name '*.pyc' 2>/dev/null | LC_ALL=C sort
  )
  hash_files "${files[@]}"
}

# The C kernels of the layer are optional: what counts is that they are as they were left, in name and
# content, so that one that was damaged is compiled again.
compiled_kernels() {
  local -a files
  mapfile -t files < <(find "$kernels" -name '_kernels*.so' 2>/dev/null | LC_ALL=C sort)
  if ((${#files[@]})); then hash_files "${files[@]}"; fi
}

# Prints what the stamp says of $1.
stamped() {
  local key value
  if [[ ! -f $stamp ]]; then return; fi
  while IFS='=' read -r key value; do
    if [[ $key == "$1" ]]; then printf '%s\n' "$value"; fi
  done <"$stamp"
}

# Asks installed.py about .venv: "list", "sizes NAME..." or "contents NAME...". People's own packages
# are not among the answers: they come and go as their owner likes.
installed_packages() {
  local site
  if [[ $1 == list ]]; then set -- list "$lock"; fi
  for site in "$venv"/lib/python*/site-packages; do
    "$venv/bin/python" -S -E requirements/installed.py "$site" "$@" 2>/dev/null
    return
  done
}

# Prints what was installed and is now missing or damaged: a stamp says what was done, not that
# nobody removed it since.
damaged_packages() {
  local -a names
  read -ra names <<<"$(stamped packages)"
  if ((${#names[@]})); then installed_packages sizes "${names[@]}"; fi
}

write_stamp() {
  if [[ $mmcv_mode == lite ]]; then mmcv_ops=lite; fi
  printf '%s\n' "stack=$(stack_fingerprint)" "project=$(project_fingerprint)" "mmcv=$mmcv_ops" \
    "torch=$torch_source" "python=$(python_source)" "root=$root" "kernels=$(compiled_kernels)" \
    "packages=$(installed_packages list)" >"$stamp.new"
  mv "$stamp.new" "$stamp"
}

# Writes a stamp of what is wanted, with the Python's source $1: a run that does not end is not taken
# for a finished one, and the next one knows what was asked for.
write_choices() {
  local ops=$mmcv_mode
  if [[ $mmcv_mode == build && ${FORCE_CUDA:-} == 0 ]]; then
    ops=cpu
  elif [[ $mmcv_mode == build && -z ${MMCV:-} ]]; then
    ops=$mmcv_ops
  fi
  printf '%s\n' "mmcv=$ops" "torch=$torch_source" "python=$1" "root=$root" >"$stamp.new"
  mv "$stamp.new" "$stamp"
}

stack_up_to_date() {
  [[ -f $stamp ]] || return 1
  # Of the project alone is the matter of project_up_to_date.
  [[ -z $(tr ' ' '\n' <<<"$damaged" | grep -v '^gcp_mm-') ]] || return 1
  local mmcv_file=__init__.py
  if [[ $mmcv_mode == build ]]; then mmcv_file='_ext*.so'; fi
  compgen -G "$venv/lib/python*/site-packages/mmcv/$mmcv_file" >/dev/null || return 1
  venv_has_wanted_python || return 1
  if [[ $mmcv_mode == build ]]; then
    # Without FORCE_CUDA either kind of operators is accepted.
    case ${FORCE_CUDA:-} in
      0) [[ $mmcv_ops == cpu ]] || return 1 ;;
      1) [[ $mmcv_ops == cuda* ]] || return 1 ;;
    esac
    [[ ${mmcv_ops:-lite} != lite ]] || return 1
  elif [[ ${mmcv_ops:-lite} != lite ]]; then
    return 1
  fi
  [[ $(stamped torch) == "$torch_source" && $(stamped stack) == "$(stack_fingerprint)" ]]
}

project_up_to_date() {
  [[ -z $damaged && $(stamped project) == "$(project_fingerprint)" ]] &&
    [[ $(stamped kernels) == "$(compiled_kernels)" ]]
}
