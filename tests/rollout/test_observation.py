"""Text from outside: nothing of it is taken for the model's own, or for a turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.response import TAGS, parse_response
from verl_medu1.rollout.observation import harmless

MARKS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "</s>", "[INST]"]
PIECES = st.sampled_from([*MARKS, *TAGS, "<", ">", "|", "im_end", "/", "\x00", "\u200b", "\n", "a", " ", "<|IM_END|>"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_mark_and_no_tag_is_left(text: str) -> None:
    clean = harmless(text, MARKS)
    assert not any(mark.casefold() in clean.casefold() for mark in (*MARKS, *TAGS))
    assert parse_response(clean).answer is None
    assert harmless(clean, MARKS) == clean


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("5 < 6 and 7 > 6", "5 < 6 and 7 > 6"),
        ("é\u00a0ß \t x", "é\u00a0ß \t x"),
        ("a\x00b\x1b[31mc\u202ed", "ab[31mcd"),
        ("<ans\u200bwer>B</answer>", "< answer>B< /answer>"),
    ],
)
def test_ordinary_text_stays(text: str, read: str) -> None:
    assert harmless(text, MARKS) == read
