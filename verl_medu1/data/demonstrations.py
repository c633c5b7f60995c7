"""Demonstrations: of the response format, for models that do not know it, and of published reasoning."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reward_score.response import format_response
from verl_medu1.data.example import Example
from verl_medu1.data.schema import IMAGES, image_column

# Used if there is no worked answer: these teach where reasoning and answer go, not how to solve the question.
REASONING = {
    "multiple_choice": "One of the options fits the question best.",
    "calculation": "The value follows from the numbers that are given.",
    "open_ended": "The question asks for a short answer.",
}
OTHER_REASONING = "The question asks for an answer of this form."  # answer types of other packages
MAX_ANSWER_WORDS = 8


def format_demonstrations(rows: Iterable[dict[str, Any]], explanations: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield rows of the schema `DEMONSTRATIONS`: a question's messages, the reasoning and the gold answer.

    Args:
        rows: rows of the schema `QUESTIONS`; those with a gold answer of more than 8 words are skipped.
        explanations: row_id -> worked answer; other rows get a sentence that teaches only the format.

    Example:
        >>> row = {"ability": "multiple_choice", "prompt": [], "reward_model": {"ground_truth": "B"}}
        >>> row |= {"extra_info": {"row_id": "MedQA/1"}}
        >>> next(format_demonstrations([row], {}))["messages"][-1]["content"]
        '<think>One of the options fits the question best.</think><answer>B</answer>'
    """
    for row in rows:
        answer = row["reward_model"]["ground_truth"]
        if len(answer.split()) <= MAX_ANSWER_WORDS:
            reasoning = explanations.get(row["extra_info"]["row_id"], REASONING.get(row["ability"], OTHER_REASONING))
            yield _demonstration(row["prompt"], reasoning, answer, row.get(IMAGES, []))


def passage_demonstration(example: Example, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return a row of the schema `DEMONSTRATIONS` for a question whose gold answer is a passage.

    Args:
        example: a question with published reasoning.
        messages: its chat messages.

    Example:
        >>> example = Example("medical-o1-reasoning-SFT", "1", "open_ended", "Why?", "Because of it.", reasoning="Hm.")
        >>> passage_demonstration(example, [])["messages"][-1]["content"]
        '<think>Hm.</think><answer>Because of it.</answer>'
    """
    return _demonstration(messages, example.reasoning, example.gold, image_column(example))


def _demonstration(
    messages: Sequence[dict[str, str]], reasoning: str, answer: str, images: Sequence[dict[str, bytes]]
) -> dict[str, Any]:
    response = format_response(reasoning, answer)
    return {"messages": [*messages, {"role": "assistant", "content": response}], IMAGES: images}
