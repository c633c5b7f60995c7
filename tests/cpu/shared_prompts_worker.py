"""verl's FSDP2 engine on one rank: answers to two questions, padded and packed with shared prompts.

usage: shared_prompts_worker.py RANK WORLD PORT MODEL OUT; run by test_shared_prompts.py. Writes OUT/found.pt: for each
way the log-probs and entropies of the answers, the gradients, and how many tokens the model was given; and for each way
the log-probs and gradients of a warm-up, whose rows say with their loss mask where answers begin.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from tests.cpu.small_engine import batch, build_fsdp_engine, join, token_rows

PROMPTS, ANSWERS = (12, 5), (3, 7, 1, 4)
TEMPERATURE = 0.7


def rows(use_remove_padding: bool) -> Any:
    """Four answers to each question, all of one question in a micro-batch."""
    from verl.utils import tensordict_utils as tu

    prompts = token_rows(1, PROMPTS)
    parts = [(prompt, answer) for prompt in prompts for answer in token_rows(2, ANSWERS)]
    found = batch(0, [len(prompt) + len(answer) for prompt, answer in parts])
    for name, tensors in {
        "input_ids": [torch.cat(part) for part in parts],
        "prompts": [prompt for prompt, _ in parts],
        "responses": [answer for _, answer in parts],
        "loss_mask": [torch.cat([torch.zeros(len(prompt)), torch.ones(len(answer))]) for prompt, answer in parts],
    }.items():
        found[name] = torch.nested.as_nested_tensor(tensors, layout=torch.jagged)
    tu.assign_non_tensor_stack(found, "multi_modal_inputs", [{}] * len(parts))  # as the agent loop does
    found["temperature"] = torch.full((len(parts),), TEMPERATURE)
    tu.assign_non_tensor(
        found, micro_batch_size_per_gpu=len(ANSWERS), calculate_entropy=True, use_remove_padding=use_remove_padding
    )
    return found


def loss(model_output: Any, data: Any, dp_group: Any = None) -> tuple[torch.Tensor, dict[str, Any]]:
    """A number that depends on each answer's log-probs and entropies differently."""
    from verl.workers.utils.padding import no_padding_2_padding

    log_probs, entropy = (no_padding_2_padding(model_output[name], data) for name in ("log_probs", "entropy"))
    weights = torch.linspace(-1, 1, log_probs.numel()).view(log_probs.shape)
    return (weights * log_probs).sum() + 0.1 * entropy.square().sum(), {}


def of_warm_up(rows: Any) -> Any:
    """The same rows without what a warm-up lacks."""
    for name in ("prompts", "responses"):
        del rows[name]
    return rows


def answered(log_probs: torch.Tensor, data: Any) -> torch.Tensor:
    """The log-probs of all answers; each stands at the token before its own."""
    return log_probs.values() * torch.roll(data["loss_mask"].values(), -1)


def warm_up_loss(model_output: Any, data: Any, dp_group: Any = None) -> tuple[torch.Tensor, dict[str, Any]]:
    """Like verl's for a warm-up: without the number of tokens."""
    return -answered(model_output["log_probs"], data).sum(), {}


def main() -> None:
    from verl.workers.utils.padding import no_padding_2_padding

    parser = argparse.ArgumentParser()
    for name in ("rank", "world", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    join(a.rank, a.world, a.port)
    engine = build_fsdp_engine(
        a.model, engine_keys={"mixed_precision": {"param_dtype": "fp32", "reduce_dtype": "fp32"}}
    )
    tokens: list[int] = []
    engine.module.register_forward_pre_hook(
        lambda _module, _args, inputs: tokens.append(inputs["input_ids"].numel()), with_kwargs=True
    )

    def gradients(data: Any, loss: Any) -> dict[str, torch.Tensor]:
        with engine.train_mode():
            engine.optimizer_zero_grad()
            engine.forward_backward_batch(data, loss)
            return {name: weight.grad.full_tensor().clone() for name, weight in engine.module.named_parameters()}

    found = {}
    for way, packed in (("padded", False), ("packed", True)):
        tokens.clear()
        with engine.eval_mode():
            output = engine.infer_batch(rows(packed), loss_function=None)["model_output"]
        of_way = {name: no_padding_2_padding(output[name], rows(packed)) for name in ("log_probs", "entropy")}
        of_way["tokens"] = sum(tokens)
        found[way] = of_way | {"gradients": gradients(rows(packed), loss)}
        data = of_warm_up(rows(packed))
        with engine.eval_mode():
            log_probs = engine.infer_batch(data, loss_function=None)["model_output"]["log_probs"]
        found[f"{way} warm-up"] = {
            "log_probs": answered(log_probs, data),
            "gradients": gradients(of_warm_up(rows(packed)), warm_up_loss),
        }
    torch.save(found, a.out / "found.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
