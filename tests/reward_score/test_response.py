import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import parse_response
from reward_score.response import Response, format_response

WELL_FORMED = [
    ("<think>a</think><answer>B</answer>", "B"),
    ("\n <think>\nTwo of four.\n</think>\n\n<answer>\n B \n</answer>\n", "B"),
    # the chat template has already opened <think> in the prompt
    ("Two of four.</think><answer>B</answer>", "B"),
    # D23: a tag quoted inside the reasoning
    ("<think>a <answer> tag inside</think><answer>B</answer>", "B"),
    ("<think>not <answer>A</answer> but</think><answer>B</answer>", "B"),
    ("put it into an <answer> tag</think><answer>B</answer>", "B"),
    ("<think>因为</think><answer>糖尿病</answer>", "糖尿病"),
    # the format instruction quoted in the reasoning
    ("I reason inside <think></think> and answer inside <answer></answer>. So B.</think><answer>B</answer>", "B"),
    ("<think>Inside <think></think> and <answer></answer>.</think><answer>B</answer>", "B"),
    ("I reason, then answer inside <answer>...</answer>.</think><answer>B</answer>", "B"),
    # marks of a chat template, characters that nobody sees, Markdown
    *((f"<think>a</think><answer>B</answer>{mark}", "B") for mark in ("<|im_end|>", "<|eot_id|>", "</s>", "</s>\n")),
    ("<|im_start|>assistant\n<think>a</think><answer>B</answer>", "B"),
    ("\ufeff<think>a</think>\u200b<answer>B</answer>", "B"),
    ("<think>a</think>\n**<answer>B</answer>**", "B"),
    (r"<think>a</think><answer>\boxed{B}</answer>", r"\boxed{B}"),
]

# text, what is extracted nevertheless
NOT_WELL_FORMED = [
    ("", None),
    ("B", None),
    ("<answer>B</answer>", "B"),
    # D22: empty reasoning, text around the blocks
    ("<think></think><answer>B</answer>", "B"),
    ("<think> \n .-_ \u200b</think><answer>B</answer>", "B"),
    ("<think><answer></think><answer>B</answer>", "B"),
    ("junk <think>a</think><answer>B</answer>", "B"),
    ("<think>a</think> junk <answer>B</answer>", "B"),
    ("<think>a</think><answer>B</answer> trailing", "B"),
    ("<think>a <think> b</think><answer>B</answer>", "B"),
    ("<think>a</think></think><answer>B</answer>", "B"),
    ("<think>a</think><answer>B</answer></think>", "B"),
    ("<think>a</think><answer></answer>", ""),
    ("<think>a</think><answer> \n</answer>", ""),
    # D24: truncated
    ("<think>a</think><answer>B", None),
    ("<think>a</think><answer>B</ans", None),
    ("<think>a", None),
    ("<think>a</think>", None),
    ("<think>maybe <answer>A</answer>", None),
    # D20: several answers are no answer
    ("<think>a</think><answer>A</answer><answer>B</answer>", None),
    ("<think>a</think><answer>B</answer><answer>B</answer>", None),
    ("<think>a</think><answer>A<answer>B</answer></answer>", None),
    ("<think>a</think><answer>A</answer></think><answer>B</answer>", None),
    ("<answer>A</answer> so</think><answer>B</answer>", None),
    ("<think>a</think></answer><answer>B</answer>", None),
    ("<answer>B</answer><think>a</think>", None),
    ("<think>a</think><ANSWER>B</ANSWER>", None),
]


@pytest.mark.parametrize(("text", "answer"), WELL_FORMED)
def test_well_formed(text: str, answer: str) -> None:
    response = parse_response(text)
    assert (response.answer, response.problem, response.well_formed) == (answer, "", True)


@pytest.mark.parametrize(("text", "answer"), NOT_WELL_FORMED)
def test_not_well_formed(text: str, answer: str | None) -> None:
    response = parse_response(text)
    assert not response.well_formed
    assert response.problem
    assert response.answer == answer


def test_reasoning_is_kept_without_its_tag() -> None:
    assert parse_response("<think> a b </think><answer>B</answer>").reasoning == "a b"


words = st.text(string.ascii_letters + string.digits + " .,<>/*\n").map(str.strip).filter(
    lambda text: any(map(str.isalnum, text))
)  # fmt: skip


@given(reasoning=words, answer=words)
def test_what_is_written_is_read_again(reasoning: str, answer: str) -> None:
    assert parse_response(format_response(reasoning, answer)) == Response(reasoning, answer, "")
