"""Imports what the processes of a run import; the fork server imports this module.

None of this starts a thread of Python's or computes in several threads of OpenMP: a fork would lose them.
"""
# ruff: noqa: E402, F401, I001

import os

from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

# vLLM reads some of the variables that verl gives to Ray's workers when it is imported.
for _name, _value in get_ppo_ray_runtime_env()["env_vars"].items():
    os.environ.setdefault(_name, _value)

import ray._private.workers
import verl.trainer.main_ppo
import verl.trainer.ppo.v1
import verl.workers.engine_workers
import verl.workers.rollout.vllm_rollout.vllm_async_server
import verl.workers.rollout.vllm_rollout.vllm_rollout
import megatron.bridge  # after verl's engines, without whose patches it asks for Transformer Engine
import vllm.v1.engine.core
import vllm.v1.worker.cpu_worker

import verl_medu1.cpu.faster.forked
import verl_medu1.training.reward_manager
import verl_medu1.rollout.single_turn
