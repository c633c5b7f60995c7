"""The configuration that vLLM 0.24 makes of each GPU recipe, from the arguments that verl's server gives it.

And which kernels vLLM chooses with the recipe's environment variables.
"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from tests.rehearse.models import gpu_recipes, model_of
from verl_medu1.config.compose import compose_config

# The first test imports vLLM.
pytestmark = [pytest.mark.gpu_stack, pytest.mark.timeout(600)]

RECIPES = gpu_recipes()
ENVIRONMENT = "ray_kwargs.ray_init.runtime_env.env_vars"


class Configured(Exception):
    """Raised where verl's server would start vLLM's engine, with the engine's configuration."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def vllm_config_of(folders, monkeypatch, vllm_as_on_h100):
    """Launches verl's server of a recipe's first replica, as far as vLLM's engine, and returns its configuration."""
    import ray
    from omegaconf import open_dict
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.rollout.replica import RolloutMode
    from verl.workers.rollout.vllm_rollout import vllm_async_server
    from vllm.utils.deep_gemm import is_deep_gemm_supported

    class Engine(vllm_async_server.AsyncLLM):
        @classmethod
        def from_vllm_config(cls, vllm_config: Any, *_: Any, **__: Any) -> Any:
            raise Configured(vllm_config)

    # The server is an actor of Ray, and sets these variables for its processes.
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_job_id=lambda: "01000000"))
    for name in ("CUDA_VISIBLE_DEVICES", "VERL_REPLICA_RANK", "VERL_RAY_JOB_ID", "VERL_VLLM_FP8_QUANT_ENABLED"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(vllm_async_server, "AsyncLLM", Engine)

    def configure(*overrides: str) -> tuple[Any, Any]:
        config = compose_config(overrides)
        # Ray sets these variables for its workers. vLLM keeps what follows from one of them.
        for name, value in OmegaConf.select(config, ENVIRONMENT).items():
            monkeypatch.setenv(name, value)
        is_deep_gemm_supported.cache_clear()
        roles = config.actor_rollout_ref
        _, folder = model_of(str(roles.model.path), folders)
        with open_dict(roles):
            roles.model.path = str(folder)
        rollout = omega_conf_to_dataclass(roles.rollout)
        replica = vllm_async_server.vLLMReplica(
            0, rollout, omega_conf_to_dataclass(roles.model), rollout.n_gpus_per_node
        )
        server = vllm_async_server.vLLMHttpServer(
            config=replica.config,
            model_config=replica.model_config,
            rollout_mode=RolloutMode.HYBRID,
            workers=[],
            replica_rank=replica.replica_rank,
            node_rank=0,
            gpus_per_node=replica.gpus_per_replica_node,
            nnodes=replica.nnodes,
            cuda_visible_devices=",".join(map(str, range(replica.gpus_per_replica_node))),
        )
        with pytest.raises(Configured) as configured:
            asyncio.run(server.launch_server())
        return configured.value.args[0], rollout

    return configure


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe(recipe, precision, vllm_config_of):
    import torch
    from vllm.model_executor.layers.quantization.fp8 import Fp8Config
    from vllm.utils.import_utils import resolve_obj_by_qualname

    made, rollout = vllm_config_of(f"recipe={recipe}", f"precision={precision}")
    if precision == "fp8":
        assert (made.model_config.quantization, type(made.quant_config)) == ("fp8", Fp8Config)
        assert (made.quant_config.weight_block_size, made.quant_config.activation_scheme) == ([128, 128], "dynamic")
    else:
        assert (made.model_config.quantization, made.quant_config) == (None, None)
    found = {
        "dtype": made.model_config.dtype,
        "max_model_len": made.model_config.max_model_len,
        "seed": made.model_config.seed,
        "logprobs_mode": made.model_config.logprobs_mode,
        "enforce_eager": made.model_config.enforce_eager,
        "enable_sleep_mode": made.model_config.enable_sleep_mode,
        "tensor_model_parallel_size": made.parallel_config.tensor_parallel_size,
        "max_num_seqs": made.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": made.scheduler_config.max_num_batched_tokens,
        "enable_chunked_prefill": made.scheduler_config.enable_chunked_prefill,
        "gpu_memory_utilization": made.cache_config.gpu_memory_utilization,
        "enable_prefix_caching": made.cache_config.enable_prefix_caching,
        "load_format": made.load_config.load_format,
    }
    wanted = {key: getattr(rollout, key) for key in found} | {"dtype": torch.bfloat16}
    assert found == wanted
    assert made.model_config.override_generation_config["temperature"] == rollout.temperature
    resolve_obj_by_qualname(made.parallel_config.worker_extension_cls)


@pytest.mark.parametrize(
    ("overrides", "kernel"),
    [
        ([], "CutlassFp8BlockScaledMMKernel"),
        ([f"~{ENVIRONMENT}.VLLM_USE_DEEP_GEMM"], "FlashInferFp8DeepGEMMDynamicBlockScaledKernel"),
    ],
    ids=["as configured", "without the variable"],
)
def test_the_kernel_of_linear_layers_in_fp8(overrides, kernel, vllm_config_of):
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.kernels.linear import init_fp8_linear_kernel
    from vllm.model_executor.layers.quantization.fp8 import Fp8LinearMethod

    made, _ = vllm_config_of(f"recipe={RECIPES[0]}", "precision=fp8", *overrides)
    dtype, size = made.model_config.dtype, made.model_config.get_hidden_size()
    with set_current_vllm_config(made):
        method = Fp8LinearMethod(made.quant_config)
        chosen = init_fp8_linear_kernel(
            method.activation_quant_key, method.weight_quant_key, dtype, dtype, weight_shape=(size, size)
        )
    assert type(chosen).__name__ == kernel


@pytest.mark.parametrize(
    ("overrides", "uses"),
    [([], False), ([f"~{ENVIRONMENT}.VLLM_USE_FLASHINFER_SAMPLER"], True)],
    ids=["as configured", "without the variable"],
)
def test_sampling_without_flashinfer(overrides, uses, vllm_config_of):
    from vllm.v1.sample.ops.topk_topp_sampler import flashinfer_sampler_supported

    vllm_config_of(f"recipe={RECIPES[0]}", *overrides)
    assert flashinfer_sampler_supported() is uses


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("+actor_rollout_ref.rollout.max_num_sequences=8", InstantiationException, "argument 'max_num_sequences'"),
        ("actor_rollout_ref.rollout.quantization=fp4", ValueError, "got: fp4"),
        ("+actor_rollout_ref.rollout.engine_kwargs.vllm.max_num_sequences=8", SystemExit, "--max-num-sequences"),
        ("actor_rollout_ref.rollout.logprobs_mode=processed", SystemExit, "invalid choice: 'processed'"),
        ("+actor_rollout_ref.rollout.engine_kwargs.vllm.compilation_config.cuda_graphs=1", SystemExit, "cuda_graphs"),
    ],
)
def test_what_verl_or_vllm_does_not_know(override, error, said, vllm_config_of, capsys):
    with pytest.raises(error) as raised:
        vllm_config_of(f"recipe={RECIPES[0]}", override)
    # vLLM's parser prints the reason and exits.
    assert said in f"{raised.value}\n{capsys.readouterr().err}"
