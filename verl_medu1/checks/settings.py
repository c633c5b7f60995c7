"""Checks for values that would make a run fail late, and for settings that others make ineffective.

Part of `checks.run.check`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from verl_medu1.machine.processors import given_processors, processor_violation
from verl_medu1.rollout.names import OUR_LOOPS

# Estimators that compare the responses to one question.
GROUPED = ("grpo", "grpo_passk", "grpo_vectorized", "medu1_gdpo", "rloo", "rloo_vectorized", "opo")
WHOLE_NUMBERS = (
    "actor_rollout_ref.actor.ppo_epochs",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.rollout.n",
    "data.max_prompt_length",
    "data.max_response_length",
    "data.train_batch_size",
    "trainer.n_gpus_per_node",
    "trainer.nnodes",
    "trainer.total_epochs",
)
NUMBERS = (
    "actor_rollout_ref.actor.clip_ratio",
    "actor_rollout_ref.actor.entropy_coeff",
    "actor_rollout_ref.actor.kl_loss_coef",
    "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.actor.optim.weight_decay",
    "actor_rollout_ref.rollout.temperature",
)


def setting_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with single settings or with combinations of them."""
    for key in WHOLE_NUMBERS:
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or value < 1:
            yield f"{key} is {value!r}; it must be a whole number of at least 1."
    for key in NUMBERS:
        value = OmegaConf.select(config, key)
        if value is not None and (not isinstance(value, int | float) or not value >= 0):
            yield f"{key} is {value!r}; it must be a number of at least 0."
    steps = config.trainer.total_training_steps
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        yield f"trainer.total_training_steps is {steps!r}; give at least 1, or null for trainer.total_epochs."
    yield from _context_violations(config)
    yield from _micro_batch_violations(config)
    yield from _without_effect(config)


def _context_violations(config: DictConfig) -> Iterator[str]:
    """Check that vLLM's context holds a prompt and a response; verl would cut responses to what is left, silently."""
    context, prompt, response = (
        OmegaConf.select(config, key)
        for key in ("actor_rollout_ref.rollout.max_model_len", "data.max_prompt_length", "data.max_response_length")
    )
    if all(isinstance(value, int) for value in (context, prompt, response)) and context < prompt + response:
        yield (
            f"actor_rollout_ref.rollout.max_model_len is {context}, and data.max_prompt_length {prompt} + "
            f"data.max_response_length {response} is more; raise it to {prompt + response}, or lower one of them."
        )


def _micro_batch_violations(config: DictConfig) -> Iterator[str]:
    """Check the sizes of micro-batches that are not made by tokens; without them an assertion ends verl's workers."""
    if config.actor_rollout_ref.actor.use_dynamic_bsz:
        return
    for name in ("actor.ppo_micro_batch_size_per_gpu", "rollout.log_prob_micro_batch_size_per_gpu"):
        value = OmegaConf.select(config, f"actor_rollout_ref.{name}")
        if not isinstance(value, int) or value < 1:
            yield (
                f"actor_rollout_ref.{name} is {value!r}, and actor_rollout_ref.actor.use_dynamic_bsz=false needs it; "
                "give a number of answers, at least 1."
            )


def _without_effect(config: DictConfig) -> Iterator[str]:
    algorithm, data, model = config.algorithm, config.data, config.actor_rollout_ref.model
    estimator = algorithm.adv_estimator
    if estimator in GROUPED and config.actor_rollout_ref.rollout.n == 1:
        yield (
            f"actor_rollout_ref.rollout.n is 1, and algorithm.adv_estimator={estimator} compares the answers to one "
            "question; give at least 2, or choose another estimator."
        )
    if algorithm.norm_adv_by_std_in_grpo is False and estimator not in ("grpo", "grpo_passk", "grpo_vectorized"):
        yield (
            f"algorithm.norm_adv_by_std_in_grpo is false, which algorithm.adv_estimator={estimator} does not read; "
            "leave it out, or set adv_estimator=grpo."
        )
    if data.shuffle is False and data.mixture.by is not None:
        yield (
            "data.shuffle is false, and data.mixture.by draws the rows at random; set data.mixture.by=null for the "
            "order of the file, or leave shuffle out."
        )
    if data.truncation != "error":
        yield f"data.truncation is {data.truncation!r}, and no prompt is ever cut; leave it at error."
    for key, rank in (("lora.rank", model.lora.get("rank", 0)), ("lora_rank", model.lora_rank)):
        if rank is None:
            yield f"actor_rollout_ref.model.{key} is null; give 0 to train all weights."


def started_here_violations(config: DictConfig) -> Iterator[str]:
    """Check that a run on several nodes has a Ray cluster to join, and one on this node processors for its actors."""
    if os.environ.get("RAY_ADDRESS"):
        return
    workers = config.trainer.n_gpus_per_node
    if config.trainer.nnodes == 1:
        if isinstance(workers, int) and (sentence := processor_violation(config, given_processors())):
            yield sentence
    else:
        yield (
            f"trainer.nnodes is {config.trainer.nnodes}, and this machine is one; start the run with `medu1 slurm`, or "
            "in a Ray cluster that RAY_ADDRESS names, or set trainer.nnodes=1."
        )


def agent_loop_violations(config: DictConfig) -> Iterator[str]:
    """Check the list of agent loops, which verl's workers load in any case, and that it has ours if it is used."""
    agent = config.actor_rollout_ref.rollout.agent
    path, key = agent.agent_loop_config_path, "actor_rollout_ref.rollout.agent.agent_loop_config_path"
    names = _agent_loops(path) if path else []
    if names is None:
        yield f"{key} is {path!r}, which is no file with a YAML list of agent loops, each with a name; give one."
    elif (loop := agent.default_agent_loop) in OUR_LOOPS and loop not in names:
        yield (
            f"{key} is {path!r}, which does not list {loop}, the default_agent_loop; copy its entry from "
            "verl_medu1/rollout/agent_loops.yaml, or leave the key out."
        )


def _agent_loops(path: str) -> list[str] | None:
    """Return the names that a list of agent loops has; None if the file is not such a list."""
    try:
        listed: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    if not isinstance(listed, list) or not all(isinstance(loop, dict) and "name" in loop for loop in listed):
        return None
    return [str(loop["name"]) for loop in listed]


def seed_violations(config: DictConfig) -> Iterator[str]:
    """Check what is needed to give each response its own seed (verl_medu1/rollout/sampling.py)."""
    rollout = config.actor_rollout_ref.rollout
    if rollout.agent.default_agent_loop not in OUR_LOOPS:
        return
    seed, loop = config.data.seed, rollout.agent.default_agent_loop
    if not isinstance(seed, int) or seed < 0:
        yield f"data.seed is {seed}, which default_agent_loop={loop} starts from; give a number of at least 0."
    if config.trainer.device == "cpu" and rollout.enable_chunked_prefill:
        yield (
            "actor_rollout_ref.rollout.enable_chunked_prefill is True, with which vLLM on the CPU can't take seeded "
            "answers (GPUModelRunner._bookkeeping_sync); set it to false."
        )
