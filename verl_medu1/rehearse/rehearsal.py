"""One rank of a recipe: built as it is on its GPU, and one update on tensors without memory."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verl_medu1.plan.architecture import Architecture, has_config
from verl_medu1.plan.settings import Settings
from verl_medu1.rehearse.batch import batch_of, received_shape
from verl_medu1.rehearse.bytes import ACTIVATIONS, LOGITS, Bytes, Rehearsal
from verl_medu1.rehearse.collectives import Collectives, Kind
from verl_medu1.rehearse.engine import engine_of, without_weights
from verl_medu1.rehearse.layers import stand_ins
from verl_medu1.rehearse.model_folder import write_model_folder
from verl_medu1.rehearse.world import rank_of_world

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

WEIGHTS, GRADIENTS, OPTIMIZER = "weights", "gradients", "optimizer"
PARTS = (WEIGHTS, GRADIENTS, OPTIMIZER, ACTIVATIONS, LOGITS)


@dataclass(frozen=True)
class Rehearsed:
    """What a rank did in one update.

    Attributes:
        rank: of the world.
        stage: its pipeline stage.
        parameters: that it holds.
        memory: part -> bytes at the peak of the forward and backward passes.
        collectives: kind, how many in the update, and the bytes of their tensors together.
    """

    rank: int
    stage: int
    parameters: int
    memory: dict[str, int]
    collectives: list[tuple[Kind, int, int]]


def parameters_of(config: "DictConfig", settings: Settings, model: Architecture, folder: Path, rank: int) -> int:
    """Build a rank without gradients and optimizer, and count its parameters; arguments as for `rehearse`."""
    mode = Rehearsal(Bytes(model.vocabulary // settings.tp), Collectives())
    with rank_of_world(rank, settings.gpus):
        engine, _ = engine_of(config, folder, forward_only=True)
        with mode, stand_ins(), without_weights():
            engine.initialize()
        return sum(parameter.numel() for module in engine.module for parameter in module.parameters())


def rehearse(config: "DictConfig", settings: Settings, model: Architecture, rank: int) -> Rehearsed:
    """Build a rank and make one update.

    Args:
        config: the composed recipe.
        settings: of the same recipe.
        model: its dimensions.
        rank: which of its ranks.
    """
    memory, collectives = Bytes(model.vocabulary // settings.tp), Collectives()
    collectives.shape = received_shape(settings, model.hidden)
    mode = Rehearsal(memory, collectives)
    with tempfile.TemporaryDirectory() as temporary, rank_of_world(rank, settings.gpus):
        folder = Path(str(config.actor_rollout_ref.model.path)).expanduser()
        if not has_config(str(folder)):
            folder = Path(temporary)
            write_model_folder(model, folder)
        engine, actor = engine_of(config, folder)
        with mode, stand_ins(), without_weights():
            engine.initialize()
        return _update(engine, mode, batch_of(settings, config), actor, rank)


def _update(engine: Any, mode: Rehearsal, batch: Any, actor: Any, rank: int) -> Rehearsed:
    from megatron.core import parallel_state
    from verl.workers.utils.losses import ppo_loss

    memory, collectives = mode.memory, mode.collectives
    parameters = [parameter for module in engine.module for parameter in module.parameters()]
    memory.assign(WEIGHTS, parameters)
    memory.assign(GRADIENTS, [parameter.main_grad for parameter in parameters if parameter.requires_grad])
    memory.assign(OPTIMIZER, _states(engine.optimizer))
    collectives.calls.clear()
    collectives.bytes.clear()
    with mode, stand_ins(), engine.train_mode():
        memory.start_again()
        engine.optimizer_zero_grad()
        engine.forward_backward_batch(batch, partial(ppo_loss, config=actor))
        passes = memory.peak
        engine.optimizer_step()
        memory.assign(OPTIMIZER, _states(engine.optimizer))
    return Rehearsed(
        rank=rank,
        stage=parallel_state.get_pipeline_model_parallel_rank(),
        parameters=sum(parameter.numel() for parameter in parameters),
        memory={
            **{part: memory.alive[part] for part in (WEIGHTS, GRADIENTS, OPTIMIZER)},
            **{part: passes[part] for part in (ACTIVATIONS, LOGITS)},
        },
        collectives=[(kind, calls, collectives.bytes[kind]) for kind, calls in sorted(collectives.calls.items())],
    )


def _states(optimizer: Any) -> Iterator["torch.Tensor"]:
    """The tensors that an optimizer keeps: its copies of the weights, and Adam's moments."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        adam = part.optimizer
        for group in adam.param_groups:
            for parameter in group["params"]:
                yield parameter
                yield from _tensors(adam.state.get(parameter, {}).values())


def _tensors(values: Iterable[Any]) -> Iterator["torch.Tensor"]:
    import torch

    yield from (value for value in values if isinstance(value, torch.Tensor))
