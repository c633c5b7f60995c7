"""verl's Megatron engine of a recipe, configured as verl's worker configures it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def engine_of(config: "DictConfig", folder: Path, forward_only: bool = False) -> tuple[Any, Any]:
    """Return verl's engine of the actor, not yet initialised, as ActorRolloutRefWorker.init_model makes it.

    Also returns the actor's configuration, which verl's loss takes.

    Must be called in `rank_of_world`. Nothing is offloaded: while it trains, all of an engine is on the GPU anyway.

    Args:
        config: a composed recipe.
        folder: the model's config.json and tokenizer.
        forward_only: whether to leave gradients and optimizer out, as for a reference model.
    """
    import verl.workers.engine.megatron.transformer_impl  # noqa: F401  (registers the engine)
    from omegaconf import open_dict
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.engine import EngineRegistry

    roles = config.actor_rollout_ref.copy()
    with open_dict(roles):
        roles.model.path = str(folder)
        roles.actor.megatron.param_offload = roles.actor.megatron.optimizer_offload = False
        roles.actor.megatron.forward_only = forward_only
        roles.actor.optim.total_training_steps = 2  # verl's trainer sets it from the number of rows
    model = omega_conf_to_dataclass(roles.model)
    actor = omega_conf_to_dataclass(roles.actor)
    actor.model_config = model
    engine = actor.engine
    engine.use_dynamic_bsz = roles.actor.use_dynamic_bsz
    engine.max_token_len_per_gpu = roles.actor.ppo_max_token_len_per_gpu
    engine.micro_batch_size_per_gpu = roles.actor.ppo_micro_batch_size_per_gpu
    engine.use_remove_padding = model.get("use_remove_padding", False)
    engine.use_fused_kernels = model.get("use_fused_kernels", False)
    made = EngineRegistry.new(
        model_type="language_model",
        backend=engine.strategy,
        model_config=model,
        engine_config=engine,
        optimizer_config=actor.optim,
        checkpoint_config=actor.checkpoint,
    )
    return made, actor


@contextmanager
def without_weights() -> Iterator[None]:
    """Let an engine be initialised from a folder without weights, with parameters that have no memory.

    torch can't convert or move a module of such parameters. There is nothing to do: they are made in the engine's
    dtype, which is asserted, and there is one device.
    """
    import torch
    from megatron.bridge import AutoBridge

    load, apply = AutoBridge.load_hf_weights, torch.nn.Module._apply

    def leave(module: torch.nn.Module, *_: Any, **__: Any) -> torch.nn.Module:
        kinds = {parameter.dtype for parameter in module.parameters()}
        assert len(kinds) <= 1, f"a module has parameters of {kinds}, and one of them would be converted"
        return module

    AutoBridge.load_hf_weights = lambda *_, **__: None
    torch.nn.Module._apply = leave  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        AutoBridge.load_hf_weights = load
        torch.nn.Module._apply = apply  # type: ignore[method-assign]
