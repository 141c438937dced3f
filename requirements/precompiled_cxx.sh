#!/usr/bin/env bash
# A C++ compiler that keeps torch's headers precompiled; mmcv_wheel.sh gives it to mmcv's build as
# CXX. Three quarters of the time of every file of mmcv go into <torch/types.h>. The header is
# compiled once, with the flags of the first file, because GCC takes a precompiled header only under
# equal flags. Where that fails, or for a file with other flags, the header is read as text, as it
# would have been. GCP_MM_CXX is the compiler, GCP_MM_PCH a folder for the header (430 MB).
set -euo pipefail

read -ra compiler <<<"$GCP_MM_CXX"
header=$GCP_MM_PCH/torch_headers.h

# Only compilations of C++ files: the linker's calls and nvcc's go through.
source='' compiles=0 skip=0
flags=()
for argument in "$@"; do
  if ((skip)); then
    skip=0
    continue
  fi
  case $argument in
    -c) compiles=1 ;;
    -MMD | -MD | -MP) ;;
    -o | -MF | -MT | -MQ) skip=1 ;;
    *.cpp | *.cc | *.cxx) source=$argument ;;
    *) flags+=("$argument") ;;
  esac
done
if [[ -z $source ]] || ! ((compiles)); then exec "${compiler[@]}" "$@"; fi

# The first of the parallel compilers makes the header, the others wait for it. Without locks they
# read it as text until it is there: it is renamed into place whole.
exec 8>"$GCP_MM_PCH/lock"
if command -v flock >/dev/null; then flock 8 || true; fi
if mkdir "$GCP_MM_PCH/begun" 2>/dev/null; then
  printf '#include <torch/types.h>\n' >"$header.new"
  mv "$header.new" "$header"
  if "${compiler[@]}" "${flags[@]}" -x c++-header "$header" -o "$header.gch.new" 8>&- \
    2>"$GCP_MM_PCH/log"; then
    mv "$header.gch.new" "$header.gch"
  else
    rm -f "$header.gch.new"
    echo 'torch/types.h was not precompiled; the build goes on without that' >&2
  fi
fi
exec 8>&-
if [[ ! -e $header ]]; then exec "${compiler[@]}" "$@"; fi
exec "${compiler[@]}" -include "$header" "$@"
