"""Packed batches in which all answers to a question share its prompt (speed only).

verl's FSDP engine repeats the prompt before each of a question's n answers, and computes logits for every token. Here a
prompt stands once in the pack, each answer attends to it and to itself, and logits are computed for the tokens of
answers alone. What comes out, log-probs and gradients, is the same.

Answers share a prompt within a micro-batch: `use_dynamic_bsz=false` with a multiple of n rows in each keeps the answers
of a question together.
"""

from dataclasses import dataclass
from typing import Any

import torch

from verl_medu1.cpu.faster.shared_attention import Blocks, blocks_of


@dataclass(frozen=True)
class Packed:
    """Rows in one sequence of T tokens, and where the N tokens of their responses are.

    Attributes:
        input_ids: (1, T).
        position_ids: (1, T), of each token in its own row.
        attention_mask: (1, 1, T, T), true where a token attends to another.
        blocks: the same, for layers that take them.
        predicting: (N,), the place in the sequence of the token before a response's token.
        labels: (N,), the responses' tokens.
        rows: (N,), the row that each belongs to.
        places: (N,), where verl has its log-prob among all tokens of all rows: at the token before it.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    blocks: Blocks
    predicting: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    places: torch.Tensor


def pack(rows: list[torch.Tensor], prompt_lengths: list[int]) -> Packed:
    """Pack rows; prompts that are equal stand once. A response's last token predicts nothing and is left out.

    Args:
        rows: tokens of prompt and response.
        prompt_lengths: of each row, at least 1.

    Example:
        >>> packed = pack([torch.tensor([5, 6, 7, 8]), torch.tensor([5, 6, 9])], [2, 2])
        >>> packed.input_ids.tolist(), packed.position_ids.tolist()
        ([[5, 6, 7]], [[0, 1, 2]])
        >>> packed.predicting.tolist(), packed.labels.tolist(), packed.places.tolist()
        ([1, 2, 1], [7, 8, 9], [1, 2, 5])
    """
    tokens, positions, questions, answers = [], [], [], []
    predicting: list[int] = []
    places: list[int] = []
    prompts: dict[tuple[int, ...], tuple[int, range]] = {}
    parts: list[range] = []  # where each answer's tokens are, if it has any here
    prompt_of: list[int] = []
    length = offset = 0

    def add(part: torch.Tensor, first_position: int, question: int, answer: int) -> int:
        tokens.append(part)
        positions.append(torch.arange(first_position, first_position + len(part)))
        questions.append(torch.full((len(part),), question))
        answers.append(torch.full((len(part),), answer))
        return length + len(part)

    for number, (row, prompt_length) in enumerate(zip(rows, prompt_lengths, strict=True)):
        prompt, response = row[:prompt_length], row[prompt_length:]
        key = tuple(prompt.tolist())
        if key not in prompts:
            end = add(prompt, 0, len(prompts), 0)
            prompts[key], length = (len(prompts), range(length, end)), end
        question, of_prompt = prompts[key]
        end = add(response[:-1], prompt_length, question, number + 1)
        of_answer, length = range(length, end), end
        predicting += [of_prompt[-1], *of_answer][: len(response)]
        places += range(offset + prompt_length - 1, offset + len(row) - 1)
        if of_answer:
            parts.append(of_answer)
            prompt_of.append(question)
        offset += len(row)

    position, question_of, answer_of = (torch.cat(parts) for parts in (positions, questions, answers))
    attends = (question_of[:, None] == question_of) & (position[:, None] >= position)
    attends &= (answer_of == 0) | (answer_of[:, None] == answer_of)
    responses = [row[prompt_length:] for row, prompt_length in zip(rows, prompt_lengths, strict=True)]
    return Packed(
        input_ids=torch.cat(tokens)[None],
        position_ids=position[None],
        attention_mask=attends[None, None],
        blocks=blocks_of([of_prompt for _, of_prompt in prompts.values()], parts, prompt_of),
        predicting=torch.tensor(predicting),
        labels=torch.cat(responses),
        rows=torch.repeat_interleave(torch.tensor([len(response) for response in responses])),
        places=torch.tensor(places),
    )


def can_share(rows: Any, model: Any) -> bool:
    """Whether a micro-batch can be packed like this.

    Its rows must be packed, of text, and say where their responses begin, and the model's layers must all attend to
    every earlier token, by torch's attention. What verl makes of the logits besides log-probs and entropy needs all
    of them.
    """
    from verl.utils import tensordict_utils as tu
    from verl.utils.model import extract_multi_modal_inputs

    def says(key: str, default: bool = False) -> bool:
        return bool(tu.get_non_tensor_data(data=rows, key=key, default=default))

    needs_all = ("use_fused_kernels", "calculate_sum_pi_squared", "distillation_use_topk", "distillation_only")
    layers = set(getattr(model, "layer_types", None) or ["full_attention"])
    return (
        says("use_remove_padding", default=True)
        and ("prompts" in rows or "loss_mask" in rows)
        and rows["input_ids"].is_nested
        # The agent loop writes this field for every row, empty for texts.
        and not extract_multi_modal_inputs(rows.get("multi_modal_inputs", []))
        and rows["position_ids"].dim() == 2
        and not any(map(says, needs_all))
        and model._attn_implementation == "sdpa"
        and layers == {"full_attention"}
        and not getattr(model, "sliding_window", None)
    )


def prompt_lengths(rows: Any) -> list[int]:
    """The tokens of each row before its response; in a warm-up, whose rows have no prompts, before its first loss."""
    if "prompts" in rows:
        return list(rows["prompts"].offsets().diff().tolist())
    return [max(1, int((mask != 0).int().argmax())) if mask.any() else len(mask) for mask in rows["loss_mask"].unbind()]


class SharedPrompts:
    """For verl's FSDPEngineWithLMHead, before it in the bases of a class."""

    def prepare_model_inputs(self: Any, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the model's arguments, and what `prepare_model_outputs` needs."""
        if self.use_ulysses_sp or not can_share(micro_batch, self.module.config):
            return super().prepare_model_inputs(micro_batch)  # type: ignore[misc]
        packed = pack(list(micro_batch["input_ids"].unbind()), prompt_lengths(micro_batch))
        inputs = {name: getattr(packed, name) for name in ("input_ids", "position_ids", "attention_mask", "blocks")}
        return inputs | {"logits_to_keep": packed.predicting}, {"packed": packed}

    def prepare_model_outputs(
        self: Any, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, torch.Tensor]:
        """Return log-probs, and entropy where it is asked for, as verl lays them out; 0 at a prompt's tokens."""
        packed: Packed | None = output_args.get("packed")
        if packed is None:
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)  # type: ignore[misc]
        from verl.utils import tensordict_utils as tu
        from verl.utils.torch_functional import logprobs_from_logits

        logits = output.logits[0]
        temperature = torch.as_tensor(micro_batch["temperature"], dtype=torch.float32).expand(len(micro_batch))
        if bool((temperature != 1).any()):  # a division copies the logits
            logits = logits / temperature.clamp(min=1e-8)[packed.rows, None].to(logits.dtype)
        offsets = micro_batch["input_ids"].offsets()

        def of_all_tokens(values: torch.Tensor) -> torch.Tensor:
            every = values.new_zeros(int(offsets[-1])).index_put((packed.places,), values)
            return torch.nested.nested_tensor_from_jagged(every, offsets)

        found = {"log_probs": of_all_tokens(logprobs_from_logits(logits=logits, labels=packed.labels))}
        if tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False):
            found["entropy"] = of_all_tokens(self.compute_entropy_from_logits(logits))
        return found
