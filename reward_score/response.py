"""Splits a response into reasoning and answer: the only place in the project that reads the tags."""

import re
from dataclasses import dataclass

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)

_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Response:
    """What a response holds.

    Attributes:
        reasoning: The text inside `<think>`, or "" where no reasoning was closed.
        answer: The text inside the one `<answer>`, stripped; None where there is none, or more than one.
        problem: Why the response is not well-formed, in a few words; "" if it is.
    """

    reasoning: str
    answer: str | None
    problem: str

    @property
    def well_formed(self) -> bool:
        """True for one `<think>` with real content, then one `<answer>`, and nothing else."""
        return not self.problem


def parse_response(text: str) -> Response:
    """Splits the text of a response, in time linear in its length.

    Well-formed is `<think>reasoning</think><answer>answer</answer>`, whitespace between and around allowed.
    `<think>` may be missing, because some chat templates write it into the prompt. The reasoning ends at the
    first `</think>`, needs at least one letter or digit, and may quote `<answer>`. A response that is not
    well-formed still gives its answer if there is exactly one after the reasoning; where a rule is ambiguous
    (several answers, an answer that is not closed, an answer inside reasoning that is not closed) there is none.

    Args:
        text: The response alone, never the prompt.

    Example:
        >>> parse_response("<think>Two of four.</think><answer>B</answer>")
        Response(reasoning='Two of four.', answer='B', problem='')
    """
    text = text.strip()
    reasoning, closed, rest = text.partition(THINK_CLOSE)
    if not closed:
        if THINK_OPEN in text:
            return Response("", None, "the reasoning is not closed")
        answer, answer_problem = _single_answer(text)
        return Response("", answer, answer_problem if answer is None else "no reasoning")

    opened = reasoning.startswith(THINK_OPEN)
    reasoning = reasoning.removeprefix(THINK_OPEN)
    if not opened and ANSWER_OPEN in reasoning and ANSWER_CLOSE in reasoning:
        return Response(reasoning.strip(), None, "several answers")
    answer, answer_problem = _single_answer(rest)
    return Response(reasoning.strip(), answer, _reasoning_problem(reasoning, rest) or answer_problem)


def _reasoning_problem(reasoning: str, rest: str) -> str:
    if THINK_OPEN in reasoning:
        return "<think> is not the first thing, or stands there twice"
    if THINK_OPEN in rest or THINK_CLOSE in rest:
        return "reasoning tags after the reasoning"
    if not _WORD.search(reasoning.replace(ANSWER_OPEN, "").replace(ANSWER_CLOSE, "")):
        return "the reasoning is empty"
    return ""


def _single_answer(text: str) -> tuple[str | None, str]:
    """Returns the one answer in the text, or None, and what is wrong with it."""
    before, opened, rest = text.partition(ANSWER_OPEN)
    answer, closed, after = rest.partition(ANSWER_CLOSE)
    if not opened:
        return None, "no answer"
    if not closed:
        return None, "the answer is not closed"
    if any(tag in part for part in (before, answer, after) for tag in (ANSWER_OPEN, ANSWER_CLOSE)):
        return None, "several answers"
    answer = answer.strip()
    if not answer:
        return answer, "the answer is empty"
    if before.strip():
        return answer, "text between reasoning and answer"
    if after.strip():
        return answer, "text after the answer"
    return answer, ""
