"""Attention of answers that share their prompts, in blocks instead of one mask over the whole pack (speed only).

Of a pack's T x T pairs of tokens most are of different answers. Here a prompt attends to itself, and each answer to its
prompt and to itself, as rows of two batches. It is computed in float32, for which the processor has faster kernels than
for bfloat16, forwards and backwards.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Blocks:
    """Where the prompts and answers of a pack of T tokens are.

    Attributes:
        prompts: (P, longest prompt), the places of their tokens; 0 beyond their ends.
        answers: (A, longest answer), likewise.
        prompt_of: (A,), each answer's prompt.
        attends: (A, 1, longest answer, longest prompt + longest answer), true where a token of an answer attends.
        places: (T,), where each token of the pack is among those of all rows of `prompts`, then of `answers`.
    """

    prompts: torch.Tensor
    answers: torch.Tensor
    prompt_of: torch.Tensor
    attends: torch.Tensor
    places: torch.Tensor


def blocks_of(prompts: list[range], answers: list[range], prompt_of: list[int]) -> Blocks:
    """Return the blocks of a pack.

    Args:
        prompts: the places of each prompt's tokens.
        answers: of each answer's tokens, at least one.
        prompt_of: each answer's prompt.

    Example:
        >>> blocks = blocks_of([range(0, 2), range(5, 6)], [range(2, 5), range(6, 7)], [0, 1])
        >>> blocks.answers.tolist(), blocks.places.tolist()
        ([[2, 3, 4], [6, 0, 0]], [0, 1, 4, 5, 6, 2, 7])
        >>> blocks.attends[1, 0].int().tolist()
        [[1, 0, 1, 0, 0], [1, 0, 1, 1, 0], [1, 0, 1, 1, 1]]
    """
    prompt_rows, answer_rows = (
        pad_sequence([torch.tensor(part) for part in parts], batch_first=True)
        if parts
        else torch.zeros(0, 1, dtype=torch.long)
        for parts in (prompts, answers)
    )
    places = torch.empty(sum(map(len, (*prompts, *answers))), dtype=torch.long)
    first = 0
    for parts, rows in ((prompts, prompt_rows), (answers, answer_rows)):
        for part in parts:
            places[list(part)] = torch.arange(first, first + len(part))
            first += rows.shape[1]
    lengths = torch.tensor([len(prompts[prompt]) for prompt in prompt_of], dtype=torch.long)
    longest_prompt, longest_answer = prompt_rows.shape[1], answer_rows.shape[1]
    of_prompt = (torch.arange(longest_prompt) < lengths[:, None])[:, None].expand(-1, longest_answer, -1)
    # What lies beyond an answer's end is later than all of its tokens.
    of_answer = torch.ones(longest_answer, longest_answer, dtype=torch.bool).tril().expand(len(answers), -1, -1)
    attends = torch.cat([of_prompt, of_answer], dim=-1)[:, None]
    prompt_index = torch.tensor(prompt_of, dtype=torch.long)
    return Blocks(prompt_rows, answer_rows, prompt_of=prompt_index, attends=attends, places=places)


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    blocks: Blocks | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Transformers' "sdpa"; in blocks where the model is called with some.

    Args:
        module: the layer.
        query: (1, heads, T, d).
        key: (1, key-value heads, T, d).
        value: like `key`.
        attention_mask: what `blocks` say too.
        blocks: of the pack.
        scaling: of the products.
        kwargs: what else a layer gives.

    Returns:
        (1, T, heads, d), and no weights.
    """
    if blocks is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    with torch.autocast(query.device.type, enabled=False):
        tokens = [part[0].transpose(0, 1).float().flatten(1) for part in (query, key, value)]
        width = query.shape[-1]

        def heads(rows: torch.Tensor) -> torch.Tensor:
            """(rows, tokens, heads * d) as (rows, heads, tokens, d)."""
            return rows.unflatten(-1, (-1, width)).transpose(1, 2)

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **which: Any) -> torch.Tensor:
            found = scaled_dot_product_attention(
                heads(query), heads(key), heads(value), scale=scaling, enable_gqa=True, **which
            )
            return found.transpose(1, 2).flatten(0, 1)

        def rows(places: torch.Tensor) -> list[torch.Tensor]:
            return [part.index_select(0, places.flatten()).unflatten(0, places.shape) for part in tokens]

        prompts, answers = rows(blocks.prompts), rows(blocks.answers)
        found = [attend(*prompts, is_causal=True)]
        if len(blocks.prompt_of):
            keys, values = (
                torch.cat([of_prompts.index_select(0, blocks.prompt_of), of_answers], dim=1)
                for of_prompts, of_answers in zip(prompts[1:], answers[1:], strict=True)
            )
            found.append(attend(answers[0], keys, values, attn_mask=blocks.attends))
        return torch.cat(found).index_select(0, blocks.places)[None].to(query.dtype), None


def register() -> None:
    """Let layers whose attention is "sdpa" take blocks."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register("sdpa", attention)
