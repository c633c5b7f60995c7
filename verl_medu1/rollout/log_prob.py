"""How probable the policy finds tokens: its own server reads them as a prompt."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

# Samples from tokens: the arguments of verl's `LLMServerClient.generate`.
Generate = Callable[..., Awaitable[Any]]


async def mean_log_prob(generate: Generate, before: Sequence[int], tokens: Sequence[int]) -> float:
    """Return the mean log-prob of tokens after others: 1 / n * sum of log p(token | those before it), in nats.

    Args:
        generate: of the model's server. It reads the tokens and samples one more, which is not used.
        before: tokens before them.
        tokens: n tokens, at least one.
    """
    params = {"max_tokens": 1, "temperature": 1.0, "prompt_logprobs": 0, "detokenize": False}
    output = await generate(prompt_ids=[*before, *tokens], sampling_params=params)
    # Each is of the token after it; verl fills the last one up (vllm_rollout/utils.py, extract_prompt_logprobs).
    after_each = [log_prob for (log_prob,) in output.extra_fields["prompt_logprobs"]]
    return sum(after_each[-len(tokens) - 1 : -1]) / len(tokens)
