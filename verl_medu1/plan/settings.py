"""The settings that memory and layout depend on, as one plain value; messages refer to them by verl's keys."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import yaml

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
MEGATRON, TRANSFORMER = f"{ACTOR}.megatron", f"{ACTOR}.megatron.override_transformer_config"
OPTIMIZER = f"{ACTOR}.optim"
MODEL, FSDP = "actor_rollout_ref.model", f"{ACTOR}.fsdp_config"
# model_engine -> `strategy`.
ENGINES = {"megatron": "megatron", "dp": "fsdp2"}
# Megatron-Bridge's default, and peft's word for all linear layers but the output layer.
BRIDGE_TARGETS = ("linear_qkv", "linear_proj", "linear_fc1", "linear_fc2")
ALL_LINEAR = "all-linear"


def _at(key: str, default: Any) -> Any:
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata={"key": key})
    return field(default=default, metadata={"key": key})


@dataclass(frozen=True)
class Settings:
    """A run's layout and sizes. `KEYS` has each field's key in the configuration.

    The defaults are for `medu1 plan --model`, which has no recipe: they are those of verl 0.9.1 and config/medu1.yaml.
    """

    nodes: int = _at("trainer.nnodes", 1)
    gpus_per_node: int = _at("trainer.n_gpus_per_node", 8)
    device: str = _at("trainer.device", "cuda")
    strategy: str = _at(f"{ACTOR}.strategy", "megatron")

    # The trainer's layout.
    tp: int = _at(f"{MEGATRON}.tensor_model_parallel_size", 1)
    pp: int = _at(f"{MEGATRON}.pipeline_model_parallel_size", 1)
    cp: int = _at(f"{MEGATRON}.context_parallel_size", 1)
    sequence_parallel: bool = _at(f"{MEGATRON}.sequence_parallel", True)
    vpp: int | None = _at(f"{MEGATRON}.virtual_pipeline_model_parallel_size", None)
    first_layers: int | None = _at(f"{TRANSFORMER}.num_layers_in_first_pipeline_stage", None)
    last_layers: int | None = _at(f"{TRANSFORMER}.num_layers_in_last_pipeline_stage", None)

    # Experts: on how many ranks they are, over how many an expert is split (null: TP), and how tokens get to them.
    ep: int = _at(f"{MEGATRON}.expert_model_parallel_size", 1)
    etp: int | None = _at(f"{MEGATRON}.expert_tensor_parallel_size", None)
    dispatcher: str = _at(f"{TRANSFORMER}.moe_token_dispatcher_type", "alltoall")
    pre_softmax: bool = _at(f"{TRANSFORMER}.moe_router_pre_softmax", False)
    capacity_factor: float | None = _at(f"{TRANSFORMER}.moe_expert_capacity_factor", None)
    router_replay: str = _at(f"{MEGATRON}.router_replay.mode", "disabled")

    # The data-parallel engine (FSDP2).
    ulysses: int = _at(f"{ACTOR}.ulysses_sequence_parallel_size", 1)
    fsdp_size: int = _at(f"{FSDP}.fsdp_size", -1)
    model_dtype: str = _at(f"{FSDP}.model_dtype", "fp32")
    gathered_dtype: str = _at(f"{FSDP}.mixed_precision.param_dtype", "bf16")
    reduce_dtype: str = _at(f"{FSDP}.mixed_precision.reduce_dtype", "fp32")
    fsdp_param_offload: bool = _at(f"{FSDP}.param_offload", False)
    fsdp_optimizer_offload: bool = _at(f"{FSDP}.optimizer_offload", False)
    offload_policy: bool = _at(f"{FSDP}.offload_policy", False)
    reshard_after_forward: bool = _at(f"{FSDP}.reshard_after_forward", True)
    no_sync: bool = _at(f"{FSDP}.use_no_sync_for_gradient_accumulation", False)
    gradient_checkpointing: bool = _at(f"{MODEL}.enable_gradient_checkpointing", True)
    packed: bool = _at(f"{MODEL}.use_remove_padding", True)
    freeze_tower: bool = _at(f"{ACTOR}.freeze_vision_tower", False)
    attn_implementation: str = _at(f"{MODEL}.override_config.attn_implementation", "flash_attention_2")

    # Sizes of a step.
    train_batch: int = _at("data.train_batch_size", 256)
    prompt: int = _at("data.max_prompt_length", 1024)
    response: int = _at("data.max_response_length", 4096)
    mini_batch: int = _at(f"{ACTOR}.ppo_mini_batch_size", 128)
    dynamic: bool = _at(f"{ACTOR}.use_dynamic_bsz", True)
    token_limit: int = _at(f"{ACTOR}.ppo_max_token_len_per_gpu", 16384)
    micro_batch: int | None = _at(f"{ACTOR}.ppo_micro_batch_size_per_gpu", None)

    # Images of a row, for a model that sees: how many, and pixels of their sides.
    images: int = _at("images.per_row", 1)
    image_side: int = _at("images.side", 672)

    # The trainer's memory.
    dtype: str = _at(f"{MEGATRON}.dtype", "bfloat16")
    distributed_optimizer: bool = _at(f"{MEGATRON}.use_distributed_optimizer", True)
    precision_aware: bool = _at(f"{OPTIMIZER}.use_precision_aware_optimizer", False)
    main_grads_dtype: str = _at(f"{OPTIMIZER}.main_grads_dtype", "fp32")
    exp_avg_dtype: str = _at(f"{OPTIMIZER}.exp_avg_dtype", "fp32")
    exp_avg_sq_dtype: str = _at(f"{OPTIMIZER}.exp_avg_sq_dtype", "fp32")
    param_offload: bool = _at(f"{MEGATRON}.param_offload", True)
    optimizer_offload: bool = _at(f"{MEGATRON}.optimizer_offload", True)
    recompute: str | None = _at(f"{TRANSFORMER}.recompute_granularity", None)
    recompute_method: str | None = _at(f"{TRANSFORMER}.recompute_method", None)
    recompute_layers: int | None = _at(f"{TRANSFORMER}.recompute_num_layers", None)
    recompute_modules: Sequence[str] = _at(f"{TRANSFORMER}.recompute_modules", ("core_attn",))
    # megatron-core's own defaults. Megatron-Bridge turns both on for Llama, if Transformer Engine is there: the plan is
    # then on the safe side.
    activation_fusion: bool = _at(f"{TRANSFORMER}.bias_activation_fusion", False)
    rope_fusion: bool = _at(f"{TRANSFORMER}.apply_rope_fusion", False)
    fused_logits: bool = _at(f"{MODEL}.use_fused_kernels", False)
    entropy: bool = _at(f"{ACTOR}.calculate_entropy", False)
    entropy_coefficient: float = _at(f"{ACTOR}.entropy_coeff", 0.0)
    kl_loss: bool = _at(f"{ACTOR}.use_kl_loss", False)
    kl_in_reward: bool = _at("algorithm.use_kl_in_reward", False)
    reshardable: bool = _at(f"{MEGATRON}.dist_ckpt_optim_fully_reshardable", False)
    reference_offload: bool = _at("actor_rollout_ref.ref.megatron.param_offload", True)
    bypass: bool = _at("algorithm.rollout_correction.bypass_mode", False)

    # LoRA: Megatron-Bridge's keys, and peft's, which FSDP2 reads.
    lora_rank: int = _at(f"{MODEL}.lora.rank", 0)
    lora_alpha: int = _at(f"{MODEL}.lora.alpha", 32)
    lora_targets: Sequence[str] = _at(f"{MODEL}.lora.target_modules", BRIDGE_TARGETS)
    lora_type: str = _at(f"{MODEL}.lora.type", "lora")
    lora_merge: bool = _at(f"{MODEL}.lora.merge", False)
    peft_rank: int = _at(f"{MODEL}.lora_rank", 0)
    peft_alpha: int = _at(f"{MODEL}.lora_alpha", 16)
    peft_targets: str | Sequence[str] = _at(f"{MODEL}.target_modules", ALL_LINEAR)
    peft_excluded: str | None = _at(f"{MODEL}.exclude_modules", None)

    # FP8 and fused kernels.
    fp8: str | None = _at(f"{TRANSFORMER}.fp8", None)
    fp8_recipe: str | None = _at(f"{TRANSFORMER}.fp8_recipe", None)
    optimizer_fp8_recipe: str | None = _at(f"{OPTIMIZER}.override_optimizer_config.fp8_recipe", None)
    # None: Megatron-Bridge decides.
    accumulation_fusion: bool | None = _at(f"{TRANSFORMER}.gradient_accumulation_fusion", None)
    attention: str = _at(f"{TRANSFORMER}.attention_backend", "flash")
    environment: Mapping[str, str] = _at("ray_kwargs.ray_init.runtime_env.env_vars", {})

    # vLLM.
    n: int = _at(f"{ROLLOUT}.n", 8)
    rollout_tp: int = _at(f"{ROLLOUT}.tensor_model_parallel_size", 1)
    rollout_ep: int = _at(f"{ROLLOUT}.expert_parallel_size", 1)
    rollout_routes: bool = _at(f"{ROLLOUT}.enable_rollout_routing_replay", False)
    rollout_executor: str | None = _at(f"{ROLLOUT}.engine_kwargs.vllm.distributed_executor_backend", None)
    rollout_dtype: str = _at(f"{ROLLOUT}.dtype", "bfloat16")
    rollout_quantization: str | None = _at(f"{ROLLOUT}.quantization", None)
    kv_dtype: str | None = _at(f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_dtype", None)
    utilization: float = _at(f"{ROLLOUT}.gpu_memory_utilization", 0.5)
    free_cache: bool = _at(f"{ROLLOUT}.free_cache_engine", True)
    max_num_seqs: int = _at(f"{ROLLOUT}.max_num_seqs", 256)
    max_num_batched_tokens: int = _at(f"{ROLLOUT}.max_num_batched_tokens", 8192)
    bucket_mib: int = _at(f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes", 2048)

    @property
    def gpus(self) -> int:
        """Workers of the run: nodes x GPUs per node."""
        return self.nodes * self.gpus_per_node

    @property
    def model_parallel(self) -> int:
        """Ranks that share one part of the batch: TP x PP x CP; with the data-parallel engine, the Ulysses size."""
        return self.tp * self.pp * self.cp if self.strategy == "megatron" else self.ulysses

    @property
    def sequence_split(self) -> int:
        """Ranks that share the tokens between a layer's matrices: TP, or 1 without sequence parallelism.

        Example:
            >>> Settings(tp=4).sequence_split, Settings(tp=4, sequence_parallel=False).sequence_split
            (4, 1)
        """
        return self.tp if self.sequence_parallel else 1

    @property
    def sequence_parts(self) -> int:
        """Ranks that share a sequence's tokens: CP, or the Ulysses size."""
        return self.cp if self.strategy == "megatron" else self.ulysses

    @property
    def dp(self) -> int:
        """Data parallel size: the workers divided by TP x PP x CP."""
        return max(1, self.gpus // max(1, self.model_parallel))

    @property
    def expert_tp(self) -> int:
        """Ranks over which an expert is split: TP unless the key is set (parallel_state.initialize_model_parallel)."""
        return self.etp or self.tp

    @property
    def expert_dp(self) -> int:
        """Ranks with the same experts: the workers divided by ETP x EP x PP; context parallel ranks are among them.

        Example:
            >>> Settings(nodes=2, tp=2, ep=8, etp=1).expert_dp
            2
        """
        return max(1, self.gpus // max(1, self.expert_tp * self.ep * self.pp))

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.prompt + self.response

    @property
    def micro_batch_tokens(self) -> int:
        """The most tokens that a rank sees in one micro-batch (verl/workers/engine/utils.py, prepare_micro_batches).

        With dynamic batches a micro-batch has up to token_limit * cp tokens, and each rank gets 1 / cp of them;
        without, it has micro_batch sequences of full length.

        Example:
            >>> Settings(token_limit=16384, cp=2).micro_batch_tokens
            16384
        """
        if self.dynamic:
            return self.token_limit
        return -(-(self.micro_batch or 1) * self.longest // self.sequence_parts)

    @property
    def adapter_rank(self) -> int:
        """LoRA's rank, of the key that the engine reads; 0 without LoRA."""
        return self.lora_rank if self.strategy == "megatron" else self.peft_rank

    @property
    def needs_reference(self) -> bool:
        """Whether log-probabilities of the reference model are computed."""
        return self.kl_loss or self.kl_in_reward

    @property
    def has_reference(self) -> bool:
        """Whether a reference model is loaded in addition to the actor.

        With LoRA the actor without its adapters is the reference (verl/trainer/ppo/v1/trainer_base.py, ref_in_actor).
        """
        return self.needs_reference and not self.adapter_rank

    @property
    def layout(self) -> str:
        """The parallel sizes in words.

        Example:
            >>> Settings(tp=2).layout, Settings(strategy="fsdp2").layout
            ('TP 2 x PP 1 x CP 1 x DP 4', 'FSDP2 over 8 x Ulysses 1')
        """
        if self.strategy == "megatron":
            return f"TP {self.tp} x PP {self.pp} x CP {self.cp} x DP {self.dp}"
        return f"FSDP2 over {self.shards} x Ulysses {self.ulysses}"

    @property
    def recomputation(self) -> str:
        """What is recomputed in the backward pass, in a word."""
        if self.strategy == "megatron":
            return self.recompute or "none"
        return "full" if self.gradient_checkpointing else "none"

    @property
    def shards(self) -> int:
        """Ranks that share a parameter under FSDP2 (verl/workers/engine/fsdp/utils.py, create_device_mesh)."""
        return self.fsdp_size if 0 < self.fsdp_size < self.gpus else self.gpus


KEYS: dict[str, str] = {found.name: found.metadata["key"] for found in fields(Settings)}


def settings_of(value_of: Callable[[str], Any]) -> Settings:
    """Read the settings from a configuration; missing keys keep the defaults of `Settings`.

    Args:
        value_of: returns a key's value, or None if there is no such key, like `OmegaConf.select`.

    Example:
        >>> settings_of({"trainer.nnodes": 2}.get).nodes
        2
    """
    found = {name: value_of(key) for name, key in KEYS.items()}
    return Settings(**{name: value for name, value in found.items() if value is not None})


def settings_from_overrides(settings: Settings, overrides: Sequence[str]) -> Settings:
    """Apply key=value overrides to settings, for plans without a recipe; model_engine is Hydra's choice of the engine.

    Raises:
        ValueError: an override is not key=value, a plan does not use its key, or its value is not valid YAML.

    Example:
        >>> settings_from_overrides(Settings(), ["data.max_response_length=8192"]).response
        8192
        >>> settings_from_overrides(Settings(), ["model_engine=dp"]).strategy
        'fsdp2'
    """
    names = {key: name for name, key in KEYS.items()}
    changes: dict[str, Any] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"{override!r} is not of the form key=value.")
        if key == "model_engine":
            if value not in ENGINES:
                raise ValueError(f"model_engine is {value!r}; planned are {' and '.join(ENGINES)}.")
            changes["strategy"] = ENGINES[value]
            continue
        if key not in names:
            near = difflib.get_close_matches(key, names, n=3, cutoff=0.0)
            raise ValueError(f"{key} is not a key that a plan looks at; near it are {', '.join(near)}.")
        try:
            changes[names[key]] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(
                f"{key} is {value!r}, which is not a value in YAML; write one such as 1, true or [mlp]."
            ) from None
    return replace(settings, **changes)
