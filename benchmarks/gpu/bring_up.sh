#!/usr/bin/env bash
# The order of docs/gpu.md in one command, for a machine that is lent for minutes: each run in turn, whatever became of the
# one before. Results and logs are in OUT, and OUT/progress says how each run ended. Started again, it does what is not
# done.
set -uo pipefail
usage="usage: bash benchmarks/gpu/bring_up.sh OUT [RUN...]
  RUN      engine-bf16 engine-fp8 engine-unfused engine-six stack-bf16 stack-fp8 stack-lora learn
           (default: all, in this order)
  PYTHON   the interpreter (default: python3)
  LIMIT_S  seconds that a run may take (default: 3600)"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
export PYTHON=${PYTHON:-python3}
[ $# -gt 0 ] || set -- engine-bf16 engine-fp8 engine-unfused engine-six stack-bf16 stack-fp8 stack-lora learn

log() { echo "$(date +%T) $1" >>"$out/progress"; }

run() {
  name=$1
  shift
  log "$name ..."
  timeout --kill-after=60 "${LIMIT_S:-3600}" "$@" >"$out/$name.txt" 2>&1
  log "$name: exit $?"
  # What a run has started may still be ending, and two at once would disturb each other.
  for _ in $(seq 60); do
    [ -n "$(nvidia-smi --query-compute-apps=pid --format=csv,noheader 2>/dev/null)" ] || break
    sleep 1
  done
}

stack() { run "$1" "$PYTHON" "$here/stack.py" --steps 4 --skip 1 "${@:2}"; }

for name in "$@"; do
  case $name in
    engine-bf16) run "$name" "$PYTHON" "$here/engine.py" --out "$out/engine" ;;
    engine-fp8) run "$name" "$PYTHON" "$here/engine.py" --precision fp8 --out "$out/engine" ;;
    engine-unfused) run "$name" "$PYTHON" "$here/engine.py" --attention unfused --out "$out/engine" ;;
    engine-six) run "$name" "$PYTHON" "$here/engine.py" --layers 6 --out "$out/six" ;;
    stack-bf16) stack "$name" --precision bf16 --out "$out/stack" ;;
    stack-fp8) stack "$name" --precision fp8 --out "$out/stack" ;;
    stack-lora) stack "$name" --precision bf16 --out "$out/lora" lora=r16 ;;
    learn) run "$name" bash "$here/smollm2.sh" "$out/smollm2" ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
done
log end
