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

  # Unasked, what was chosen stays, so that `MMCV=build make install` outlives the `make test` after
  # it, and an install that did not end. A .venv has its Python already.
  if [[ -z ${PYTHON:-} && ! -x $venv/bin/python && $(stamped python) == managed ]]; then
    PYTHON=managed
  fi
  mmcv_ops=$(stamped mmcv)
  # The key of old stamps, when mmcv was always compiled. Operators for the CPU were not a choice.
  if [[ -z $mmcv_ops && $(stamped ops) == cuda* ]]; then mmcv_ops=$(stamped ops); fi
  mmcv_mode=lite
  if [[ ${mmcv_ops:-lite} != lite ]]; then mmcv_mode=build; fi
  case ${MMCV:-} in
    '') ;;
    lite | build) mmcv_mode=$MMCV ;;
    *) fail "MMCV=$MMCV: build or lite is needed" ;;
  esac
  if [[ $mmcv_ops == cpu && -z ${MMCV:-}${FORCE_CUDA:-} ]]; then FORCE_CUDA=0; fi
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
      fail "OFFLINE and TORCH=$torch_source do not go together: a bundle has the torch of the lock" \
        "For that one: make install OFFLINE=$OFFLINE TORCH=default"
    fi
    if [[ ${PYTHON:-} == managed ]]; then
      fail 'OFFLINE and PYTHON=managed do not go together: uv would have to download that Python' \
        'Name one that is there: PYTHON=/path/to/python3'
    fi
  fi
}
