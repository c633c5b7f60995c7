"""The response format: splits a response into reasoning and answer, and writes one; the only module with the tags."""

import re
from dataclasses import dataclass

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)

_WORD = re.compile(r"[^\W_]")
# Whitespace and invisible characters: a byte order mark, zero-width spaces.
_INVISIBLE = " \t\r\n\f\v\u00a0\u200b\u200c\u200d\u2060\ufeff"
# What a tokeniser writes at the beginning or end of a turn.
_TURN_BEGIN = re.compile(r"<\|(?:im_start|start_header_id)\|>\s*assistant\s*(?:<\|end_header_id\|>\s*)?")
_TURN_END = re.compile(r"(?:<\|(?:im_end|eot_id|endoftext|end_of_text|end)\|>|</s>|<end_of_turn>|<eos>)\Z")
_MARK_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Response:
    """A parsed response.

    Attributes:
        reasoning: The text inside `<think>`; "" if the reasoning is not closed.
        answer: The text inside the only `<answer>`, stripped; None if there is none, or more than one.
        problem: Why the response is not well-formed, in a few words; "" if it is.
    """

    reasoning: str
    answer: str | None
    problem: str

    @property
    def well_formed(self) -> bool:
        """True for one `<think>` with at least one letter or digit, then one `<answer>`, and nothing else."""
        return not self.problem


def format_response(reasoning: str, answer: str) -> str:
    """Write a well-formed response.

    Example:
        >>> format_response("Two of four.", "B")
        '<think>Two of four.</think><answer>B</answer>'
    """
    return f"{THINK_OPEN}{reasoning}{THINK_CLOSE}{ANSWER_OPEN}{answer}{ANSWER_CLOSE}"


def parse_response(text: str) -> Response:
    """Split a response into reasoning and answer, in time linear in its length.

    Well-formed is `<think>reasoning</think><answer>answer</answer>`, with whitespace allowed between and around.
    `<think>` may be missing, because some chat templates write it into the prompt. The reasoning ends at the first
    `</think>` (other than that of a quoted, empty `<think></think>`), needs at least one letter or digit, and may
    quote `<answer>`. Chat-template tokens at either end, invisible characters and `**` around the answer are ignored.
    A response that is not well-formed still has an answer if there is exactly one after the reasoning. Ambiguous
    responses have none (several answers, an unclosed answer, an answer inside unclosed reasoning).

    Args:
        text: The response, without the prompt.

    Example:
        >>> parse_response("<think>Two of four.</think><answer>B</answer>")
        Response(reasoning='Two of four.', answer='B', problem='')
    """
    text = _undressed(text)
    reasoning, closed, rest = _split_reasoning(text)
    if not closed:
        if THINK_OPEN in text:
            return Response("", None, "the reasoning is not closed")
        answer, answer_problem = _single_answer(text)
        return Response("", answer, answer_problem if answer is None else "no reasoning")

    opened = reasoning.startswith(THINK_OPEN)
    reasoning = reasoning.removeprefix(THINK_OPEN)
    if not opened and _is_answer_before_reasoning(reasoning):
        return Response(reasoning.strip(), None, "several answers")
    answer, answer_problem = _single_answer(rest)
    return Response(reasoning.strip(), answer, _reasoning_problem(reasoning, rest) or answer_problem)


def _undressed(text: str) -> str:
    """Strip chat-template tokens and invisible characters around a text, and Markdown around the answer."""
    text = text.strip(_INVISIBLE)
    begin = _TURN_BEGIN.match(text)
    text = text[begin.end() :] if begin else text
    # At most two marks, for the end of the turn and of the text; only the last characters are searched.
    for _ in range(2):
        end = _TURN_END.search(text, max(0, len(text) - _MARK_LENGTH))
        text = text[: end.start()].rstrip(_INVISIBLE) if end else text
    if text.endswith(f"{ANSWER_CLOSE}**"):
        before, dressed, after = text.rpartition(f"**{ANSWER_OPEN}")
        text = f"{before}{ANSWER_OPEN}{after.removesuffix('**')}" if dressed else text
    return text


def _split_reasoning(text: str) -> tuple[str, str, str]:
    """Split at the end of the reasoning: the first `</think>` that does not close a quoted `<think>`."""
    reasoning, closed, rest = text.partition(THINK_CLOSE)
    if not closed or not reasoning.endswith(THINK_OPEN) or THINK_CLOSE not in rest:
        return reasoning, closed, rest
    if not reasoning.removeprefix(THINK_OPEN).removesuffix(THINK_OPEN).strip(_INVISIBLE):
        return reasoning, closed, rest
    # "I must reason inside <think></think>": an empty pair is a quotation.
    more, closed, rest = rest.partition(THINK_CLOSE)
    return reasoning.removesuffix(THINK_OPEN) + more, closed, rest


def _is_answer_before_reasoning(reasoning: str) -> bool:
    """Return whether text before the first `</think>` has an answer; a quoted pair of tags without a word is none."""
    if ANSWER_OPEN not in reasoning or ANSWER_CLOSE not in reasoning:
        return False
    return any(_WORD.search(part.partition(ANSWER_CLOSE)[0]) for part in reasoning.split(ANSWER_OPEN)[1:])


def _reasoning_problem(reasoning: str, rest: str) -> str:
    if THINK_OPEN in reasoning:
        return "<think> is not the first thing, or stands there twice"
    if THINK_OPEN in rest or THINK_CLOSE in rest:
        return "reasoning tags after the reasoning"
    if not _WORD.search(reasoning.replace(ANSWER_OPEN, "").replace(ANSWER_CLOSE, "")):
        return "the reasoning is empty"
    return ""


def _single_answer(text: str) -> tuple[str | None, str]:
    """Return the only answer in the text, or None, and what is wrong with it."""
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
    if before.strip(_INVISIBLE):
        return answer, "text between reasoning and answer"
    if after.strip(_INVISIBLE):
        return answer, "text after the answer"
    return answer, ""
