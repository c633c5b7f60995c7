"""How much what an environment told helps a model to the right answer, by the probability that the model gives it.

Let Φ(K) be the mean log-prob of the right answer's tokens, in nats per token, after the prompt with all that is known,
K. The replies of an episode are worth Φ(K₁) - Φ(K₀) + Φ(K₂) - Φ(K₁) + ... = Φ(K) - Φ(∅), the gain: it depends on what
is known in the beginning and in the end, and on nothing between them (potential-based shaping with a discount of 1; Ng,
Harada and Russell, ICML 1999).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from reward_score.response import ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from verl_medu1.rollout.log_prob import Generate, mean_log_prob

# Chat messages -> the tokens of a prompt.
Render = Callable[[list[dict[str, Any]]], Awaitable[Sequence[int]]]
# Where the answer stands: without reasoning, which would be the model's and not the documents'.
BEFORE_ANSWER = THINK_OPEN + THINK_CLOSE + ANSWER_OPEN


def with_known(messages: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[dict[str, Any]]:
    """Return a prompt with what is known (`Episode.known`) before its last message, in an order of its own.

    Who has learned the same in another order reads the same.

    Example:
        >>> with_known([{"role": "user", "content": "What is a?"}], ["b: is c", "a: is b"])
        [{'role': 'user', 'content': 'a: is b\\n\\nb: is c\\n\\nWhat is a?'}]
    """
    *before, question = (dict(message) for message in messages)
    return [*before, question | {"content": "\n\n".join([*sorted(known), str(question["content"])])}]


async def answer_gain(
    generate: Generate,
    render: Render,
    messages: Sequence[Mapping[str, Any]],
    known: Sequence[str],
    answer: str,
    most: int,
    tokenizer: Any,
) -> float | None:
    """Return how much more probable an answer is by what is known: Φ(K) - Φ(∅), in nats per token.

    K is all that is known; if that is more than the server reads, as much of its beginning as it reads.

    Args:
        generate: of the model's server.
        render: of the model's chat template.
        messages: the prompt.
        known: what was learned, in order, each once.
        answer: the right one.
        most: tokens that the server reads.
        tokenizer: of the model.

    Returns:
        None if even the prompt and the answer are too long for the server, which is so for all responses to a question
        or for none.
    """
    start, tokens = (tokenizer.encode(text, add_special_tokens=False) for text in (BEFORE_ANSWER, answer))
    alone = [*await render([dict(message) for message in messages]), *start]
    if len(alone) + len(tokens) > most:
        return None
    for number in range(len(known), 0, -1):
        told = [*await render(with_known(messages, known[:number])), *start]
        if len(told) + len(tokens) <= most:
            return await mean_log_prob(generate, told, tokens) - await mean_log_prob(generate, alone, tokens)
    return 0.0
