#!/usr/bin/env bash
# SmolLM2-135M-Instruct on one GPU, from a cold start to a comparison: clinical calculations without end, whose answers
# are exact. Started again, it goes on.
set -euo pipefail
usage="usage: bash benchmarks/gpu/smollm2.sh OUT [KEY=VALUE...]
  KEY=VALUE  changes the training (medu1 train)
  PYTHON     the interpreter (default: python3)"
case "${1:-}" in "" | -h | --help) echo "$usage"; exit 0 ;; esac
out=$1
shift
medu1() { "${PYTHON:-python3}" -m verl_medu1.cli.app "$@"; }
[ -d "$out/model" ] || medu1 model smollm2-135m --out "$out/model"
[ -d "$out/data" ] || medu1 prepare --source synthetic-calc=30000 --warmup 20000 --tokenizer "$out/model" \
  --max-prompt-tokens 256 --out "$out/data"
# Attention by torch, since flash-attn has no wheel.
if [ ! -e "$out/warmed-up" ]; then
  rm -rf "$out/warmup"
  medu1 sft recipe=cold-start "run_dir=$out/warmup" "data.train_files=$out/data/warmup.parquet" \
    "model.path=$out/model" data.max_length=448 data.max_token_len_per_gpu=16384 model.use_remove_padding=false \
    ++model.override_config.attn_implementation=sdpa optim.lr=2e-4
  touch "$out/warmed-up"
fi
warm=$(printf '%s\n' "$out"/warmup/checkpoints/global_step_*/huggingface | sort -V | tail -1)
held_out=(--data "$out/data/test.parquet" --max-tokens 256 --batch 1024)
medu1 eval --model "$warm" "${held_out[@]}" --out "$out/before"
medu1 train base=medical_rl "run_dir=$out/run" "data.train_files=$out/data/train.parquet" \
  "data.val_files=$out/data/test.parquet" data.mixture.by=null data.train_batch_size=64 data.max_prompt_length=256 \
  data.max_response_length=256 algorithm.length_penalty.where=off "actor_rollout_ref.model.path=$warm" \
  actor_rollout_ref.actor.optim.lr=1e-5 actor_rollout_ref.actor.ppo_mini_batch_size=32 \
  actor_rollout_ref.actor.ppo_max_token_len_per_gpu=32768 \
  actor_rollout_ref.actor.megatron.tensor_model_parallel_size=1 actor_rollout_ref.rollout.n=16 \
  actor_rollout_ref.rollout.max_model_len=512 actor_rollout_ref.rollout.gpu_memory_utilization=0.2 trainer.nnodes=1 \
  trainer.n_gpus_per_node=1 trainer.experiment_name=smollm2-gpu trainer.total_training_steps=60 \
  trainer.total_epochs=100 trainer.save_freq=10 trainer.test_freq=-1 trainer.val_before_train=false "$@"
medu1 eval --model "$out/run" "${held_out[@]}" --out "$out/after"
medu1 compare "$out/before" "$out/after"
