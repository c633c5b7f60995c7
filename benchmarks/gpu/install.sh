#!/usr/bin/env bash
# Checks, joins and installs a bundle of benchmarks/gpu/bundle.py into a folder, without a network.
set -euo pipefail
usage="usage: bash install.sh SITE
  SITE    the folder to install into; put it on PYTHONPATH
  PYTHON  the interpreter, 3.12, which has torch (default: python3)"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
mkdir -p "$1"
site=$(cd "$1" && pwd)
python=${PYTHON:-python3}
cd "$(dirname "$0")"

fail() { echo "install: $1" >&2; exit 1; }
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "PYTHON=$python does not run."
[ "$found" = 3.12 ] || fail "PYTHON=$python is Python $found, and the wheels are for 3.12; name another: PYTHON=..."
sha256sum --check --quiet pieces.sha256 || fail "pieces are missing or damaged, see above; copy their parts again."
rm -rf wheels
mkdir wheels
while read -r _ wheel; do
  # A wheel's pieces lie in several parts: sort by their names, not by their parts.
  printf '%s\n' part-*/"$wheel"* | sort -t/ -k2 | xargs cat >"wheels/$wheel"
done <wheels.sha256
(cd wheels && sha256sum --check --quiet ../wheels.sha256) || fail "a joined wheel is damaged; make the bundle again."
# Without bytecode: Python compiles what is imported, a fraction of the whole.
"$python" -m pip --disable-pip-version-check install --quiet --no-deps --no-index --no-compile --find-links wheels \
  --upgrade --target "$site" -r requirements.txt ||
  fail "pip can't install into $site; the lines above say why. On 'No space left': pip unpacks in ${TMPDIR:-/tmp} first (TMPDIR), then moves to $site."
echo "installed in $SECONDS s; now: export PYTHONPATH=$site"
cublas=$site/nvidia/cu13/lib
# torch takes this one, but Transformer Engine also loads the one in the interpreter's own folder
# (transformer_engine/common/__init__.py, _load_cuda_library_from_python), and would call most functions there and the
# newest ones here.
[ ! -e "$cublas/libcublas.so.13" ] ||
  echo "and: export LD_PRELOAD=$cublas/libcublasLt.so.13:$cublas/libcublas.so.13"
