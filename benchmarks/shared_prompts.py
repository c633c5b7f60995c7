"""An update of questions' n answers in verl's FSDP2 engine on the CPU: padded, packed, and packed with shared prompts.

    python benchmarks/shared_prompts.py --model outputs/study/model
        [--prompt 96 --answer 56 --answers 8 --questions 4 --bf16]

Prints the seconds of forward and backward passes of one micro-batch, median and range, the three ways in turn. In the
first two verl's engine does all itself.
"""

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed
import typer

from verl_medu1.cpu.faster import shared_prompts as faster

WAYS = ("padded", "packed", "packed, prompts shared")
# Answers differ from their mean length by up to this share, so that padding costs what it does in a training.
SPREAD, SEED = 0.5, 0


def rows(way: str, prompt: int, answer: int, answers: int, questions: int, vocabulary: int) -> Any:
    """One micro-batch: n answers of different lengths to each question."""
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    generator = torch.Generator().manual_seed(SEED)
    lengths = [round(answer * (1 + SPREAD * share)) for share in torch.linspace(-1, 1, answers).tolist()] * questions
    asked = [torch.randint(vocabulary, (prompt,), generator=generator) for _ in range(questions)]
    prompts = [question for question in asked for _ in range(answers)]
    fields = {
        "input_ids": [
            torch.cat([question, torch.randint(vocabulary, (length,), generator=generator)])
            for question, length in zip(prompts, lengths, strict=True)
        ],
        "prompts": prompts,
        "position_ids": [torch.arange(prompt + length) for length in lengths],
        "loss_mask": [torch.cat([torch.zeros(prompt), torch.ones(length)]) for length in lengths],
    }
    found = TensorDict(
        {name: torch.nested.as_nested_tensor(parts, layout=torch.jagged) for name, parts in fields.items()}
        | {"temperature": torch.ones(len(lengths))},
        batch_size=[len(lengths)],
    )
    tu.assign_non_tensor(
        found,
        use_dynamic_bsz=False,
        micro_batch_size_per_gpu=len(lengths),
        global_batch_size=len(lengths),
        use_remove_padding=way != "padded",
    )
    return found


def engine_of(model: Path, dtype: str) -> Any:
    """verl's FSDP2 engine on one rank."""
    import verl.workers.engine.fsdp.transformer_impl  # noqa: F401  (registers the engine)
    from verl.trainer.config import CheckpointConfig
    from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
    from verl.workers.engine import EngineRegistry

    engine = EngineRegistry.new(
        model_type="language_model",
        backend="fsdp2",
        model_config=HFModelConfig(
            path=str(model), override_config={"attn_implementation": "sdpa"}, enable_gradient_checkpointing=False
        ),
        engine_config=FSDPEngineConfig(
            strategy="fsdp2",
            use_torch_compile=False,
            mixed_precision={"param_dtype": dtype, "reduce_dtype": "fp32"},
        ),
        optimizer_config=FSDPOptimizerConfig(lr=0.0, total_training_steps=1),
        checkpoint_config=CheckpointConfig(),
    )
    engine.initialize()
    return engine


def answers_loss(model_output: Any, data: Any, dp_group: Any = None) -> tuple[torch.Tensor, dict[str, Any]]:
    """The negative log-prob of all answers; a token's log-prob stands at the token before it."""
    answered = torch.roll(data["loss_mask"].values(), -1)
    return -(model_output["log_probs"].values() * answered).sum(), {}


def main(
    model: Annotated[Path, typer.Option(help="Folder of a model.", show_default=False)],
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of the prompt.")] = 96,
    answer: Annotated[int, typer.Option(min=2, help="Mean tokens of an answer.")] = 56,
    answers: Annotated[int, typer.Option(min=2, help="Answers to a question.")] = 8,
    questions: Annotated[int, typer.Option(min=1, help="Questions in the micro-batch.")] = 4,
    bf16: Annotated[bool, typer.Option("--bf16", help="Multiply in bfloat16.")] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Updates in each way, after one that does not count.")] = 7,
) -> None:
    """Time the three ways in turn."""
    import verl  # noqa: F401  (its plugin registers the CPU platform)

    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/ranks", rank=0, world_size=1)
        engine = engine_of(model, "bf16" if bf16 else "fp32")
        vocabulary = engine.module.config.vocab_size
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        with engine.train_mode():
            for _ in range(repeats + 1):
                for way in WAYS:
                    micro_batch = rows(way, prompt, answer, answers, questions, vocabulary)
                    engine.optimizer_zero_grad()
                    shares = way == WAYS[-1]
                    with nullcontext() if shares else patch.object(faster, "can_share", return_value=False):
                        started = time.perf_counter()
                        engine.forward_backward_batch(micro_batch, answers_loss)
                        seconds[way].append(time.perf_counter() - started)
        torch.distributed.destroy_process_group()
    typer.echo("| rows | seconds, median (range) | of padded |\n|---|---|---|")
    padded = np.median(seconds[WAYS[0]][1:])
    for way, (_, *measured) in seconds.items():
        middle = np.median(measured)
        typer.echo(f"| {way} | {middle:.2f} ({min(measured):.2f} to {max(measured):.2f}) | {middle / padded:.2f} |")


if __name__ == "__main__":
    typer.run(main)
