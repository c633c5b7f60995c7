"""Names that must not be said: however they are written, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.environments.naming import Names

NAME = "Cyclic vomiting syndrome"


@pytest.mark.parametrize(
    "text",
    [
        "I have cyclic vomiting syndrome.",
        "CYCLIC VOMITING SYNDROME",
        "cyclic-vomiting\nsyndrome",
        "cyclic vom\x00iting syn\u200bdrome",
        "cyclic vom\u00aditing syndrome",
        "cyclic <b>vom</b>iting syndrome",
        "cyclic <answer>vomiting</answer> syndrome",
        "cyclic &#118;omiting syndrome",
        "cyclic &amp;#118;omiting syndrome",
        "c.y.c.l.i.c v_o_m_i_t_i_n_g s y n d r o m e",
        "ｃｙｃｌｉｃ vomiting syndrome",
        "cýclic vomiting sÿndrome",
        "cyclic vomiting syndromes",
        "**cyclic** `vomiting` [syndrome](x)",
    ],
)
def test_a_name_is_found(text: str) -> None:
    assert Names(["other", NAME]).are_in(text)


@pytest.mark.parametrize("text", ["", "I vomit in cycles.", "cyclic vomiting", "syndrome cyclic vomiting", "\ud800"])
def test_other_text_has_no_name(text: str) -> None:
    assert not Names([NAME]).are_in(text)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("MI", "an MI", True),
        ("MI", "an M.I.!", True),
        ("MI", "my family", False),
        ("MI", "a mix", False),
        ("COPD", "c o p d", True),
        ("Pneumonia", "bronchopneumonia", False),
        ("Vitamin B12", "vitamin b12", True),
        ("120", "120 beats", False),
        ("A", "a cough", False),
        ("", "", False),
        ("...", "...", False),
    ],
)
def test_short_names_are_words_and_numbers_are_none(name: str, text: str, found: bool) -> None:
    assert Names([name]).are_in(text) is found


@given(st.text(max_size=40), st.text(max_size=40), st.lists(st.sampled_from("\x00 -_.*\u200b\n"), max_size=9))
def test_a_name_is_found_in_any_text(before: str, after: str, between: list[str]) -> None:
    split = "".join(letter + sign for letter, sign in zip("gastritis", [*between, *[""] * 9], strict=False))
    assert Names(["Gastritis"]).are_in(f"{before} {split} {after}".replace("<", " ").replace("&", " "))


@given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=200))
def test_any_names_and_any_text_give_a_verdict(names: list[str], text: str) -> None:
    assert Names(names).are_in(text) in (True, False)
