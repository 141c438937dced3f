# shellcheck shell=bash disable=SC2154,SC2034  # install.sh sources this.
# The GPU, its compiler, and which operators of mmcv are built for it.

# True if a GPU's driver shows itself: /dev/nvidiactl on Linux, /dev/dxg under WSL.
has_gpu() { [[ -e ${GCP_MM_DEV:-/dev}/nvidiactl || -e ${GCP_MM_DEV:-/dev}/dxg ]]; }

# Prints the compute capabilities of the GPUs that torch sees, "8.6+9.0", or nothing.
gpu_capabilities() {
  local answer
  if ! has_gpu; then return; fi
  answer=$(
    "$venv/bin/python" - 2>/dev/null <<'PYTHON' || true
import torch
gpus = range(torch.cuda.device_count())
print("+".join(sorted({"%d.%d" % torch.cuda.get_device_capability(gpu) for gpu in gpus})))
PYTHON
  )
  # Whatever else a start of Python prints is none.
  if [[ $answer =~ ^[0-9]+\.[0-9]+(\+[0-9]+\.[0-9]+)*$ ]]; then printf '%s\n' "$answer"; fi
}

# Prints the major version of nvcc's CUDA, or nothing. It is looked for where torch does.
nvcc_major() {
  local nvcc=nvcc home=${CUDA_HOME:-${CUDA_PATH:-}} standard=${GCP_MM_CUDA:-/usr/local/cuda}
  if [[ -n $home ]]; then
    nvcc=$home/bin/nvcc
  elif ! command -v nvcc >/dev/null; then
    nvcc=$standard/bin/nvcc
  fi
  { "$nvcc" --version 2>/dev/null || true; } | sed -n 's/.*release \([0-9]*\)\..*/\1/p'
}

# Prints the major version of the CUDA that torch will have, or nothing where only torch knows it.
coming_cuda_major() {
  case $torch_source in
    default) locked_version nvidia-cuda-runtime | cut -d . -f 1 ;;
    cu[1-9][0-9]*) printf '%s\n' "${torch_source:2:2}" ;;
  esac
}

# Compiled mmcv comes before torchvision's operators, so that one without CUDA would take away the
# detection on the GPU that works without it.
find_nvcc() {
  local found wanted
  if ! has_gpu || [[ $torch_source == cpu || -n ${FORCE_CUDA:-}$utilities_missing ]]; then
    return
  fi
  found=$(nvcc_major) wanted=$(coming_cuda_major)
  if [[ -z $found || ${wanted:-$found} != "$found" ]]; then
    lacks "nvcc, the CUDA compiler, of torch's CUDA${wanted:+ $wanted}${found:+, not $found}, for
    MMCV=build on a machine with a GPU (without MMCV=build the GPU needs none; FORCE_CUDA=0 builds
    operators for the CPU only)"
  fi
}

# Sets mmcv_ops to "cpu" or "cuda-<capabilities>". $1 is the CUDA of torch. mmcv's setup.py looks
# only at the GPU and then dies of a missing or other nvcc, hence a choice of our own.
choose_ops() {
  local capabilities
  mmcv_ops=cpu
  case ${FORCE_CUDA:-} in
    0) ;;
    1)
      capabilities=$(gpu_capabilities)
      mmcv_ops=cuda-${TORCH_CUDA_ARCH_LIST:-${capabilities:-all}}
      ;;
    *)
      capabilities=$(gpu_capabilities)
      if [[ -n $capabilities ]]; then
        if [[ $(nvcc_major) != "$1" ]]; then
          fail "torch has CUDA $1, and nvcc is of CUDA $(nvcc_major), so that mmcv's CUDA operators" \
            'cannot be built. Without MMCV=build, those of torchvision serve on the GPU.' \
            'For operators that run on the CPU only: make install MMCV=build FORCE_CUDA=0'
        fi
        mmcv_ops=cuda-${TORCH_CUDA_ARCH_LIST:-$capabilities}
      fi
      ;;
  esac
  mmcv_ops=${mmcv_ops//[^A-Za-z0-9.+-]/_}
}

# Looks at the installation. Where a torch or mmcv for the CPU was asked for, the doctor is shown no
# GPU: it fails for one that is not used.
check_installation() {
  local -a hide_gpu=()
  local status=0
  if [[ $torch_source == cpu || ($mmcv_mode == build && ${FORCE_CUDA:-} == 0) ]]; then
    hide_gpu=(CUDA_VISIBLE_DEVICES=)
    if has_gpu; then
      say 'built for the CPU, as asked for: detection runs on the CPU only (CUDA_VISIBLE_DEVICES=)'
    fi
  fi
  env "${hide_gpu[@]}" "$venv/bin/python" -m gcp_mm.doctor || status=$?
  if ((status > 128)); then
    fail "the installation does not work: a library of it ended Python (signal $((status - 128)))" \
      'Install every package anew: bash requirements/install.sh --force'
  elif ((status)); then
    fail 'the installation does not work' 'The rows marked FAIL above say what to do.'
  fi
}
