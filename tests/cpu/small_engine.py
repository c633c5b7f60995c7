"""verl's Megatron engine on gloo for the tests that start it rank by rank: the engine, and fixed rows."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed

LENGTHS = (5, 16, 9, 12, 7, 16, 3, 11)
# Tokens 0 to 2 are special in the tests' vocabularies.
FIRST_TOKEN, VOCABULARY = 3, 100


def token_rows(seed: int, lengths: Sequence[int] = LENGTHS) -> list[torch.Tensor]:
    """Rows of random tokens, the same for each rank."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(FIRST_TOKEN, VOCABULARY, (length,), generator=generator) for length in lengths]


def share(engine: Any) -> slice:
    """The rows that an engine's data-parallel rank has of a batch."""
    return slice(engine.get_data_parallel_rank(), None, engine.get_data_parallel_size())


def batch(seed: int, lengths: Sequence[int] = LENGTHS, part: slice = slice(None)) -> Any:
    """The rows as verl's engines take them; all tokens but the first of each row count in the loss.

    `part` is what a rank has of them.
    """
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    def nested(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(list(tensors), layout=torch.jagged)

    tokens = token_rows(seed, lengths)[part]
    rows = TensorDict(
        {
            "input_ids": nested(tokens),
            "position_ids": nested([torch.arange(len(row)) for row in tokens]),
            "loss_mask": nested([(torch.arange(len(row)) > 0).float() for row in tokens]),
            "temperature": torch.ones(len(tokens)),
        },
        batch_size=[len(tokens)],
    )
    tu.assign_non_tensor(
        rows,
        use_dynamic_bsz=False,
        micro_batch_size_per_gpu=2,
        global_batch_size=len(lengths),
        calculate_entropy=False,
    )
    return rows


def join(rank: int, world: int, port: int) -> None:
    """Join the process group."""
    import verl  # noqa: F401  (its plugin registers the CPU platform)

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)


SAVED = ("model", "optimizer", "extra")


def build_engine(
    model: str,
    engine: dict[str, Any],
    optimizer: dict[str, Any],
    load_contents: Sequence[str] = SAVED,
    lora: dict[str, Any] | None = None,
) -> Any:
    """An initialised engine in float32; `engine`, `optimizer` and `lora` are keys of verl's configurations."""
    import verl.workers.engine.megatron.transformer_impl  # noqa: F401  (registers the engine)
    from verl.trainer.config import CheckpointConfig
    from verl.workers.config import HFModelConfig, McoreEngineConfig, McoreOptimizerConfig
    from verl.workers.engine import EngineRegistry

    built = EngineRegistry.new(
        model_type="language_model",
        backend="megatron",
        model_config=HFModelConfig(path=model, lora=lora or {}),
        engine_config=McoreEngineConfig(
            use_dynamic_bsz=False,
            micro_batch_size_per_gpu=2,
            infer_micro_batch_size_per_gpu=2,
            dtype="float32",
            **engine,
        ),
        optimizer_config=McoreOptimizerConfig(
            lr=1e-3,
            lr_decay_steps=10,
            total_training_steps=10,
            weight_decay=0.1,
            clip_grad=1.0,
            use_checkpoint_opt_param_scheduler=True,  # as config/engine_on sets it
            **optimizer,
        ),
        checkpoint_config=CheckpointConfig(save_contents=list(SAVED), load_contents=list(load_contents)),
    )
    built.initialize()
    return built


def build_fsdp_engine(
    model: str,
    model_keys: Mapping[str, Any] = MappingProxyType({}),
    engine_keys: Mapping[str, Any] = MappingProxyType({}),
    saved: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """An initialised FSDP2 engine, with further keys of verl's model, engine and checkpoint configurations."""
    import verl.workers.engine.fsdp.transformer_impl  # noqa: F401  (registers the engine)
    from verl.trainer.config import CheckpointConfig
    from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
    from verl.workers.engine import EngineRegistry

    built = EngineRegistry.new(
        model_type="language_model",
        backend="fsdp2",
        model_config=HFModelConfig(path=model, override_config={"attn_implementation": "sdpa"}, **model_keys),
        engine_config=FSDPEngineConfig(
            strategy="fsdp2",
            use_torch_compile=False,
            use_dynamic_bsz=False,
            micro_batch_size_per_gpu=2,
            infer_micro_batch_size_per_gpu=2,
            **engine_keys,
        ),
        optimizer_config=FSDPOptimizerConfig(lr=1e-3, weight_decay=0.1, total_training_steps=10),
        checkpoint_config=CheckpointConfig(save_contents=list(SAVED), load_contents=list(SAVED), **saved),
    )
    built.initialize()
    return built


def train_step(engine: Any, seed: int) -> None:
    """One update on the rows of a seed."""
    from functools import partial

    from verl.workers.utils.losses import sft_loss

    with engine.train_mode():
        engine.train_batch(batch(seed, part=share(engine)), loss_function=partial(sft_loss, config=None))
        engine.lr_scheduler_step()


def log_probs(engine: Any, seed: int) -> list[torch.Tensor] | None:
    """Log-probabilities of the rows' tokens, on the rank that has them."""
    with engine.eval_mode():
        output = engine.infer_batch(batch(seed, part=share(engine)), loss_function=None)
    if not engine.is_mp_src_rank_with_outputs():
        return None
    return [row.clone() for row in output["model_output"]["log_probs"].unbind()]
