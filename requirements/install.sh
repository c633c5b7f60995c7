#!/usr/bin/env bash
# Installs the training stack without a GPU and this package into a virtual environment; works again when run again.
set -euo pipefail
usage="usage: requirements/install.sh VENV
  PYTHON          the interpreter, 3.12 (default: python3.12 on PATH, or pyenv's)
  TORCH_PIP_ARGS  more arguments for pip when it installs torch, such as --index-url with an index of CPU builds"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
venv=$1
root=$(cd "$(dirname "$0")/.." && pwd)

fail() { echo "install: $1" >&2; exit 1; }
say() { printf '[install %3ds] %s\n' "$SECONDS" "$1"; }
minor_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail "this is $(uname -s) $(uname -m); the pinned packages are built for Linux x86_64."
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
free_gib=$(df --output=avail -k "$root" | awk 'NR==2 {print int($1 / 1048576)}')
[ "$free_gib" -ge 8 ] || fail "$free_gib GiB of disk are free, 8 are needed."
memory_gib=$(awk '/MemTotal/ {print int($2 / 1048576 + 0.5)}' /proc/meminfo)
[ "$memory_gib" -ge 12 ] || echo "install: $memory_gib GiB of memory; a training run needs up to 12." >&2

if [ -x "$venv/bin/python" ] && [ "$(minor_version "$venv/bin/python")" != 3.12 ]; then
  fail "$venv is of another Python than 3.12, from an earlier version of this project: make clean"
fi
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
torch=2.11.0+cpu
# shellcheck disable=SC2086  # several arguments
install --dry-run "torch==$torch" ${TORCH_PIP_ARGS:-} 2>/dev/null || {
  torch=2.11.0
  echo "install: no index that pip knows has a CPU build of torch 2.11; its CUDA build works too, and takes 2 GB more to download and 4 GB more on disk (README, Try it)." >&2
}
# shellcheck disable=SC2086
install "torch==$torch" --constraint "$root/requirements/stack.txt" ${TORCH_PIP_ARGS:-}
say "verl, Ray, transformers, Megatron and what they need"
install --no-deps -r "$root/requirements/stack.txt" -r "$root/requirements/dev.txt"
say "vLLM for the CPU"
install --no-deps --require-hashes -r "$root/requirements/cpu.txt"
say "verl-medu1"
install --no-deps --no-build-isolation --editable "$root"
"$venv/bin/medu1" --help >/dev/null || fail "medu1 does not start; the lines above say why."
say "done"
