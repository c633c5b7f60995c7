"""The longest rows that a micro-batch may have, as verl's trainer gives them to its actor."""

from collections.abc import Sequence
from typing import Any

import torch

from verl_medu1.plan.settings import Settings


def row_lengths(settings: Settings) -> list[int]:
    """Return the lengths of a micro-batch's rows: as few as hold the tokens of `settings.micro_batch_tokens`.

    Of lengths that verl pads no further (verl/models/mcore/util.py, preprocess_thd_engine).

    Example:
        >>> row_lengths(Settings(token_limit=12288, prompt=2048, response=4096))
        [6144, 6144]
        >>> row_lengths(Settings(token_limit=12290, prompt=2048, response=4096, tp=4))
        [4096, 4096, 4096]
    """
    tokens = settings.micro_batch_tokens * settings.cp
    rows = -(-tokens // settings.longest)
    multiple = settings.tp * settings.cp * (2 if settings.cp > 1 else 1)
    return [tokens // rows // multiple * multiple] * rows


def received_shape(settings: Settings, hidden: int) -> tuple[int, int, int]:
    """Return the dimensions of the hidden states that a pipeline stage receives of a micro-batch.

    Args:
        settings: of the recipe.
        hidden: size of a hidden state.

    Example:
        >>> received_shape(Settings(token_limit=12288, prompt=2048, response=4096, tp=2, pp=2), 256)
        (6144, 1, 256)
    """
    return sum(row_lengths(settings)) // settings.cp // settings.sequence_split, 1, hidden


def micro_batches(settings: Settings) -> int:
    """Return how many micro-batches are rehearsed: enough that the pipeline fills, and one more.

    With virtual stages megatron-core needs a multiple of the stages.

    Example:
        >>> micro_batches(Settings()), micro_batches(Settings(pp=4)), micro_batches(Settings(pp=4, vpp=2))
        (2, 5, 8)
    """
    return 2 * settings.pp if (settings.vpp or 1) > 1 else settings.pp + 1


def batch_of(settings: Settings, config: Any) -> Any:
    """Return the rows of one data-parallel rank's update, with the keys that verl's trainer adds.

    Args:
        settings: of the recipe.
        config: the composed recipe.
    """
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    lengths = row_lengths(settings) * micro_batches(settings)
    prompts = [min(settings.prompt, length // 2) for length in lengths]
    responses = [length - prompt for length, prompt in zip(lengths, prompts, strict=True)]

    def nested(sizes: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return torch.nested.as_nested_tensor([torch.ones(size, dtype=dtype) for size in sizes], layout=torch.jagged)

    rows = {
        "input_ids": nested(lengths, torch.long),
        "position_ids": torch.nested.as_nested_tensor([torch.arange(size) for size in lengths], layout=torch.jagged),
        "loss_mask": nested(lengths, torch.float32),
        "prompts": nested(prompts, torch.long),
        "responses": nested(responses, torch.long),
        **{name: nested(responses, torch.float32) for name in ("response_mask", "old_log_probs", "advantages")},
    }
    if settings.kl_loss:
        rows["ref_log_prob"] = nested(responses, torch.float32)
    batch = TensorDict(rows, batch_size=[len(lengths)])
    actor = config.actor_rollout_ref.actor
    tu.assign_non_tensor(
        batch,
        use_remove_padding=config.actor_rollout_ref.model.get("use_remove_padding", False),
        use_dynamic_bsz=settings.dynamic,
        max_token_len_per_gpu=settings.token_limit,
        micro_batch_size_per_gpu=settings.micro_batch,
        use_fused_kernels=settings.fused_logits,
        calculate_entropy=settings.entropy or settings.entropy_coefficient != 0,
        distillation_use_topk=False,
        distillation_only=False,
        global_batch_size=actor.ppo_mini_batch_size * settings.n,
        temperature=config.actor_rollout_ref.rollout.temperature,
    )
    return batch
