"""How much what an environment said helps a model to the right answer, by the probability that the model gives it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from reward_score.response import ANSWER_OPEN, THINK_CLOSE, THINK_OPEN

# Samples from tokens: the arguments of verl's `LLMServerClient.generate`.
Generate = Callable[..., Awaitable[Any]]
# Where the answer stands: without reasoning, which would be the model's and not the documents'.
BEFORE_ANSWER = THINK_OPEN + THINK_CLOSE + ANSWER_OPEN


def with_replies(messages: Sequence[Mapping[str, Any]], replies: Sequence[str]) -> list[dict[str, Any]]:
    """Return a prompt with what an environment replied to calls (`Episode.found`) before its last message.

    Example:
        >>> with_replies([{"role": "user", "content": "What is a?"}], ["a: is b"])
        [{'role': 'user', 'content': 'a: is b\\n\\nWhat is a?'}]
    """
    *before, question = (dict(message) for message in messages)
    return [*before, question | {"content": "\n\n".join([*replies, str(question["content"])])}]


async def answer_log_prob(generate: Generate, before: Sequence[int], answer: Sequence[int]) -> float:
    """Return the mean log-prob of an answer's tokens after others: 1 / n * sum of log p(token | those before it).

    Args:
        generate: of the model's server. It reads the tokens and samples one more, which is not used.
        before: tokens before the answer.
        answer: its n tokens, at least one.
    """
    ids = [*before, *answer]
    params = {"max_tokens": 1, "temperature": 1.0, "prompt_logprobs": 0, "detokenize": False}
    output = await generate(prompt_ids=ids, sampling_params=params)
    # Each is of the token after it; verl fills the last one up (vllm_rollout/utils.py, extract_prompt_logprobs).
    after_each = [log_prob for (log_prob,) in output.extra_fields["prompt_logprobs"]]
    return sum(after_each[len(before) - 1 : -1]) / len(answer)


async def answer_gain(
    generate: Generate, alone: Sequence[int], with_replies: Sequence[int], answer: str, most: int, tokenizer: Any
) -> float | None:
    """Return how much more probable replies make an answer, in nats per token.

    The mean log-prob of the answer's tokens after the question with the replies, less that after the question alone.

    Args:
        generate: of the model's server.
        alone: tokens of the prompt.
        with_replies: tokens of the prompt with the replies; the same if there were none.
        answer: the right one.
        most: tokens that the server reads.
        tokenizer: of the model.

    Returns:
        None if prompt, replies and answer are too long for the server.
    """
    if list(alone) == list(with_replies):
        return 0.0
    start, tokens = (tokenizer.encode(text, add_special_tokens=False) for text in (BEFORE_ANSWER, answer))
    if len(with_replies) + len(start) + len(tokens) > most:
        return None
    read = await answer_log_prob(generate, [*with_replies, *start], tokens)
    return read - await answer_log_prob(generate, [*alone, *start], tokens)
