"""Responses from vLLM in this process; the only file of the evaluation that starts an engine."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from verl_medu1.data.images.shown import Seen, load_processor, see
from verl_medu1.evaluate.episodes import Several
from verl_medu1.evaluate.models import HOW_TO_GIVE
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Request, Sampling, seed_of
from verl_medu1.evaluate.scoring import Response
from verl_medu1.length.budget import counted_tokens
from verl_medu1.models.chat_template import render_tokens

# Requests go to vLLM in portions of this many batches; responses are stored after each portion.
BATCHES_AT_ONCE = 4


def set_environment(model: str) -> None:
    """Set the variables that vLLM and huggingface_hub read at import; values set by the user are kept."""
    settings = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        # An engine in this process starts in half the time and can't outlive it.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; no effect on a GPU
        # FlashInfer's kernels for top-k and top-p are compiled when they are first used, which needs a CUDA toolkit.
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
    }
    if Path(model).is_dir():
        settings["HF_HUB_OFFLINE"] = "1"
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def load_tokenizer(model: str) -> Any:
    """Load the model's tokenizer, with its chat template.

    Raises:
        ValueError: there is no such model, or its tokenizer has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError):
        raise ValueError(
            f"--model {model} can't be loaded with its tokenizer; {HOW_TO_GIVE} (not with HF_HUB_OFFLINE=1)."
        ) from None
    if tokenizer.chat_template is None:
        raise ValueError(f"The tokenizer of --model {model} has no chat template; add its chat_template.jinja.")
    return tokenizer


def render_prompts(
    model: str, tokenizer: Any, questions: Sequence[Question], template_arguments: Mapping[str, Any]
) -> list[Seen]:
    """Render each question's messages with the model's chat template, and its images, as verl does in training.

    Raises:
        ValueError: questions have images, and the model has no processor that verl knows.
    """
    if not any(question.images for question in questions):
        rendered = (render_tokens(tokenizer, question.prompt, template_arguments) for question in questions)
        return [Seen(tokens, [], len(tokens)) for tokens in rendered]
    processor = load_processor(model, "--model")
    return [see(processor, question.prompt, question.images, template_arguments) for question in questions]


def check_lengths(model: str, lengths: Sequence[int], max_tokens: int) -> int:
    """Return the number of tokens that the longest prompt and its response need.

    Args:
        model: folder in Hugging Face format, or name on the hub.
        lengths: tokens of each prompt.
        max_tokens: tokens of the longest response.

    Raises:
        ValueError: the model has fewer positions.
    """
    from transformers import AutoConfig

    needed = max(lengths) + max_tokens
    positions = getattr(AutoConfig.from_pretrained(model).get_text_config(), "max_position_embeddings", None)
    if positions is not None and needed > positions:
        too_long = sum(length + max_tokens > positions for length in lengths)
        raise ValueError(
            f"--max-tokens {max_tokens} leaves too few of the model's {positions} positions for {too_long} of "
            f"{len(lengths)} prompts (the longest has {needed - max_tokens} tokens); lower it or leave those rows out."
        )
    return needed


def start_engine(model: str, max_model_len: int, sampling: Sampling) -> Any:
    """Start vLLM's engine for a model."""
    from vllm import LLM
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    # float32 is several times faster than bfloat16 on CPUs without bfloat16 units.
    dtype: Any = "float32" if on_cpu and sampling.dtype == "auto" else sampling.dtype
    return LLM(
        model=model,
        dtype=dtype,
        max_model_len=max_model_len,
        max_num_seqs=sampling.batch,
        tensor_parallel_size=sampling.tensor_parallel_size,
        enforce_eager=on_cpu,
        # After a partial prefill vLLM discards the sampled token and rewinds the generator (gpu_model_runner.py,
        # GPUModelRunner._bookkeeping_sync), which a seeded CPU generator can't do.
        enable_chunked_prefill=False if on_cpu else None,
        max_num_batched_tokens=max(max_model_len, 4096) if on_cpu else None,
        seed=sampling.seed,
    )


def generate(
    model: str,
    requests: Sequence[Request],
    sampling: Sampling,
    template_arguments: Mapping[str, Any],
    episodes: Mapping[str, Any] | None = None,
) -> Iterator[tuple[Request, list[Response]]]:
    """Sample responses.

    Args:
        model: folder in Hugging Face format, or name on the hub.
        requests: at least one request.
        sampling: sampling settings; see `seed_of` for the seeds.
        template_arguments: arguments of the chat template.
        episodes: `episodes` of a configuration, for responses of several turns.

    Yields:
        Each request with its responses, in order.

    Raises:
        ValueError: there is no such model, it has no chat template, or a prompt with its response is too long for it.
    """
    tokenizer = load_tokenizer(model)
    prompts = render_prompts(model, tokenizer, [request.question for request in requests], template_arguments)
    several = Several(episodes, sampling, tokenizer, model, template_arguments) if episodes else None
    longest = check_lengths(model, [prompt.length for prompt in prompts], sampling.max_tokens)
    engine = start_engine(model, longest, sampling)
    pairs = iter(zip(requests, prompts, strict=True))
    at_once = max(1, BATCHES_AT_ONCE * sampling.batch // sampling.samples)
    while portion := list(islice(pairs, at_once)):
        if several:
            yield from several.responses(engine, [(request, prompt.tokens) for request, prompt in portion])
        else:
            yield from _single(engine, tokenizer, portion, sampling)


def _single(
    engine: Any, tokenizer: Any, portion: Sequence[tuple[Request, Seen]], sampling: Sampling
) -> Iterator[tuple[Request, list[Response]]]:
    """Sample responses of one turn."""
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    # n samples of one request use the seeds s, s + 1, ..., s + n - 1.
    parameters = [
        SamplingParams(
            n=request.number,
            **sampling.distribution,
            max_tokens=sampling.max_tokens,
            seed=seed_of(request.question, sampling.seed) + request.first,
        )
        for request, _ in portion
    ]
    inputs = [
        TokensPrompt(prompt_token_ids=prompt.tokens, multi_modal_data={"image": prompt.images})
        if prompt.images
        else TokensPrompt(prompt_token_ids=prompt.tokens)
        for _, prompt in portion
    ]
    outputs = engine.generate(inputs, parameters, use_tqdm=False)
    for (request, _), output in zip(portion, outputs, strict=True):
        yield request, [_response(tokenizer, completion, request.question) for completion in output.outputs]


def _response(tokenizer: Any, completion: Any, question: Question) -> Response:
    return Response(
        text=tokenizer.decode(completion.token_ids, skip_special_tokens=True),
        length=len(completion.token_ids),
        counted_tokens=counted_tokens(completion.token_ids, question.budget_counts, tokenizer.decode),
        truncated=completion.finish_reason == "length",
    )
