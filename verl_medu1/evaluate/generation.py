"""Responses by vLLM, in this process. The only file of the evaluation that starts an engine."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.scoring import Response
from verl_medu1.length import counted_tokens

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Sampling:
    """How responses are sampled; see the options of `medu1 eval`."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int
    batch: int
    dtype: str
    tensor_parallel_size: int

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens", "batch", "tensor_parallel_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"--temperature is {self.temperature}; it must be at least 0 (0 is greedy).")
        if self.dtype not in DTYPES:
            raise ValueError(f"--dtype is {self.dtype!r}; choose one of {', '.join(DTYPES)}.")
        if self.seed < 0:
            raise ValueError(f"--seed is {self.seed}; it must be at least 0.")


def set_environment(model: str) -> None:
    """Settings that vLLM and huggingface_hub read when they are imported; what the user has set stays."""
    settings = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        # The engine in this process starts in half the time and can't outlive it.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; of no meaning on a GPU
    }
    if Path(model).is_dir():
        settings["HF_HUB_OFFLINE"] = "1"
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def load_tokenizer(model: str) -> Any:
    """The model's tokenizer, with its chat template.

    Raises:
        ValueError: there is no such model, or its tokenizer has no chat template.
    """
    if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
        raise ValueError(f"--model {model} has no config.json; give a folder in Hugging Face's format.")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError):
        raise ValueError(
            f"--model {model} can't be loaded; give a folder in Hugging Face's format with its tokenizer, "
            "or the name of a model on the hub (not with HF_HUB_OFFLINE=1)."
        ) from None
    if tokenizer.chat_template is None:
        raise ValueError(f"The tokenizer of --model {model} has no chat template; add its chat_template.jinja.")
    return tokenizer


def render_prompts(tokenizer: Any, questions: Sequence[Question]) -> list[list[int]]:
    """Token ids of each question's messages, by the model's chat template, as verl renders them in training."""
    return [
        tokenizer.apply_chat_template(question.prompt, tokenize=True, add_generation_prompt=True, return_dict=False)
        for question in questions
    ]


def check_lengths(model: str, prompts: Sequence[Sequence[int]], max_tokens: int) -> int:
    """Tokens that the longest prompt and its response need.

    Raises:
        ValueError: they are more than the model has positions for.
    """
    from transformers import AutoConfig

    needed = max(map(len, prompts)) + max_tokens
    positions = getattr(AutoConfig.from_pretrained(model).get_text_config(), "max_position_embeddings", None)
    if positions is not None and needed > positions:
        too_long = sum(len(prompt) + max_tokens > positions for prompt in prompts)
        raise ValueError(
            f"--max-tokens {max_tokens} leaves too few of the model's {positions} positions for {too_long} of "
            f"{len(prompts)} prompts (the longest has {needed - max_tokens} tokens); lower it or leave those rows out."
        )
    return needed


def generate(model: str, tokenizer: Any, questions: Sequence[Question], sampling: Sampling) -> list[list[Response]]:
    """Sample responses to each question.

    Args:
        model: folder in Hugging Face's format, or name on the hub.
        tokenizer: of `load_tokenizer`.
        questions: what is asked.
        sampling: how. Each question has a seed of its own, so that what is sampled for it does not hang on the rest.

    Returns:
        For each question its `sampling.samples` responses.

    Raises:
        ValueError: a prompt with its response is longer than the model allows.
    """
    prompts = render_prompts(tokenizer, questions)
    max_model_len = check_lengths(model, prompts, sampling.max_tokens)

    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    # float32 is several times faster than bfloat16 on processors without units for it.
    dtype: Any = "float32" if on_cpu and sampling.dtype == "auto" else sampling.dtype
    engine = LLM(
        model=model,
        dtype=dtype,
        max_model_len=max_model_len,
        max_num_seqs=sampling.batch,
        tensor_parallel_size=sampling.tensor_parallel_size,
        enforce_eager=on_cpu,
        # A prompt in pieces draws tokens that vLLM takes back (gpu_model_runner.py:3750), which a seeded CPU
        # generator can't.
        enable_chunked_prefill=False if on_cpu else None,
        max_num_batched_tokens=max(max_model_len, 4096) if on_cpu else None,
        seed=sampling.seed,
    )
    seeds = np.random.default_rng(sampling.seed).integers(2**31, size=len(questions))
    # n samples of one request use the seeds s, s + 1, ..., s + n - 1.
    parameters = [
        SamplingParams(
            n=sampling.samples, temperature=sampling.temperature, max_tokens=sampling.max_tokens, seed=int(seed)
        )
        for seed in seeds
    ]
    outputs = engine.generate([TokensPrompt(prompt_token_ids=prompt) for prompt in prompts], parameters)
    return [
        [
            Response(
                text=tokenizer.decode(completion.token_ids, skip_special_tokens=True),
                length=len(completion.token_ids),
                counted_tokens=counted_tokens(completion.token_ids, question.budget_counts, tokenizer.decode),
                truncated=completion.finish_reason == "length",
            )
            for completion in output.outputs
        ]
        for question, output in zip(questions, outputs, strict=True)
    ]


def describe_model(model: str) -> dict[str, str | int | None]:
    """Path, architecture and number of parameters (shared ones once), the last from the weights' headers.

    Args:
        model: folder in Hugging Face's format, or name on the hub (then the parameters are None).

    Returns:
        `path`, `architecture`, `parameters`.
    """
    from safetensors import safe_open
    from transformers import AutoConfig

    parameters = 0
    for file in sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []:
        with safe_open(file, framework="numpy") as weights:
            parameters += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    architectures = AutoConfig.from_pretrained(model).architectures or ["unknown"]
    return {"path": model, "architecture": architectures[0], "parameters": parameters or None}
