# shellcheck shell=bash disable=SC2154,SC2034  # install.sh and bundle.sh source this.
# Reads what the user asks for: STACK, MMCV, TORCH, OFFLINE.

# uv's default of 30 s is too short for the gigabyte wheels on a slow line.
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}

# Sets stack, venv, venv_name, lock, stamp, mmcv_mode, torch_source and offline.
read_settings() {
  stack=${STACK:-openmmlab}
  case $stack in
    openmmlab) venv_name=.venv lock=requirements/lock.txt ;;
    onedl) venv_name=.venv-onedl lock=requirements/onedl.txt ;;
    *) fail "STACK=$stack: openmmlab or onedl is needed" ;;
  esac
  venv=$root/$venv_name stamp=$root/$venv_name/.gcp_mm_install

  # Unasked, a compiled mmcv or another torch stays, so that `MMCV=build make install` outlives the
  # `make test` after it.
  mmcv_ops=$(stamped mmcv)
  mmcv_mode=lite
  if [[ ${mmcv_ops:-lite} != lite ]]; then mmcv_mode=build; fi
  case ${MMCV:-} in
    '') ;;
    lite | build) mmcv_mode=$MMCV ;;
    *) fail "MMCV=$MMCV: build or lite is needed" ;;
  esac
  if [[ $stack == onedl && $mmcv_mode == build ]]; then
    fail 'MMCV=build goes with the default stack: onedl-mmcv is installed without operators'
  fi

  torch_source=${TORCH:-$(stamped torch)}
  case $torch_source in
    '' | default) torch_source=default ;;
    cpu | xpu | cu[0-9]* | rocm[0-9]* | http://* | https://* | file://*) ;;
    *)
      fail "TORCH=$torch_source: not a build of torch that is known" \
        'Name cpu, cu126, cu128, ... (the CUDA that your driver has), or the URL of an index.'
      ;;
  esac

  offline=${OFFLINE:-}
  if [[ -n $offline ]]; then
    if [[ ! -d $offline ]]; then
      fail "OFFLINE=$offline: no such folder" \
        "Fill one on a machine with a network: make bundle BUNDLE=FOLDER"
    fi
    offline=$(cd "$offline" && pwd -P)
    if [[ $torch_source != default ]]; then
      fail "OFFLINE and TORCH=$torch_source do not go together: a bundle has the torch of the lock"
    fi
  fi
}
