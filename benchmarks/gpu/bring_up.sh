#!/usr/bin/env bash
# The order of docs/gpu.md in one command, for a machine that is lent for minutes: each run in turn, whatever became of the
# one before. Results and logs are in OUT; what is done is skipped when it is started again.
set -uo pipefail
usage="usage: bash benchmarks/gpu/bring_up.sh OUT [RUN...]
  RUN  engine-bf16 engine-fp8 engine-unfused engine-six stack-bf16 stack-fp8 stack-lora learn
       (default: all, in this order)"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
out=$1
shift
cd "$(dirname "$0")"
mkdir -p "$out"
run() {
  name=$1
  shift
  echo "$(date +%T) $name ..." >>"$out/progress"
  timeout 570 "$@" >"$out/$name.txt" 2>&1
  echo "$(date +%T) $name: exit $?" >>"$out/progress"
}
[ $# -gt 0 ] || set -- engine-bf16 engine-fp8 engine-unfused engine-six stack-bf16 stack-fp8 stack-lora learn
for name in "$@"; do
  case $name in
    engine-bf16) run "$name" python3 engine.py --out "$out/engine" ;;
    engine-fp8) run "$name" python3 engine.py --precision fp8 --out "$out/engine" ;;
    engine-unfused) run "$name" python3 engine.py --attention unfused --out "$out/engine" ;;
    engine-six) run "$name" python3 engine.py --layers 6 --out "$out/six" ;;
    stack-bf16) run "$name" python3 stack.py --precision bf16 --steps 4 --skip 1 --out "$out/stack" ;;
    stack-fp8) run "$name" python3 stack.py --precision fp8 --steps 4 --skip 1 --out "$out/stack" ;;
    stack-lora) run "$name" python3 stack.py --precision bf16 --steps 4 --skip 1 --out "$out/lora" lora=r16 ;;
    learn) run "$name" bash smollm2.sh "$out/smollm2" ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
done
echo "$(date +%T) end" >>"$out/progress"
