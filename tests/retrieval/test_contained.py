"""Questions of a benchmark that stand in documents."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_medu1.data.example import Example
from verl_medu1.retrieval.contained import LONG_QUESTION, QuestionFinder
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.words import all_words

CASE = (
    "A 54-year-old baker has had a cough for three weeks, fever in the evening and a weight loss of four kilograms; "
    "her neighbour was treated for tuberculosis last year. Which test comes first?"
)
SHORT = "Do mitochondria play a role in remodelling lace plant leaves?"
PADDING = " ".join(f"word{n}" for n in range(5000))


def example(question: str, row_id: str = "1") -> Example:
    return Example("MedQA", row_id, "multiple_choice", question, "A", (("A", "Sputum"), ("B", "Biopsy")))


def shares(question: str, *texts: str, title: str = "") -> list[float]:
    finder = QuestionFinder([example(question)])
    for place, text in enumerate(texts):
        finder.look(Document(str(place), title, text))
    return [one.share for one in finder.found]


@pytest.mark.parametrize(
    ("question", "text", "is_found"),
    [
        (CASE, CASE, True),
        (CASE, f"{PADDING} Q12. {CASE.upper()} (A) Sputum (B) Biopsy. Answer: A. {PADDING}", True),
        (CASE, CASE.replace(" ", "\n ").replace(",", " -"), True),
        (CASE, CASE.replace("baker", "teacher"), True),
        (CASE, CASE.replace("baker", "teacher").replace("cough", "rash").replace("fever", "chills"), True),
        (CASE, CASE.replace("three weeks, fever in the evening and a weight loss of four kilograms", "a day"), False),
        (CASE, " ".join(reversed(CASE.split())), False),
        (CASE, CASE[: len(CASE) // 2], False),
        (CASE, PADDING, False),
        (SHORT, f"{PADDING} {SHORT} {PADDING}", True),
        (SHORT, SHORT.replace("lace", "rice"), False),
        ("Which of these is true?", "Which of these is true?", False),
        ("", "", False),
        ("???", "???", False),
    ],
)
def test_what_counts_as_contained(question, text, is_found):
    assert bool(shares(question, text)) is is_found


def test_a_title_counts_too():
    assert shares(SHORT, "An abstract.", title=SHORT) == [1.0]


def test_questions_too_short_to_look_for_are_counted():
    finder = QuestionFinder([example("Which is true?"), example(""), example(SHORT)])
    assert finder.too_short == 2


WORDS = st.lists(st.sampled_from("abcdefg"), max_size=40).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=8))
def test_looking_up_the_rarest_trigrams_misses_nothing(questions, texts):
    finder = QuestionFinder([example(question, str(place)) for place, question in enumerate(questions)])
    expected = []
    for name, text in enumerate(texts):
        finder.look(Document(str(name), "", text))
        for place, question in enumerate(questions):
            words = all_words(question)
            ours, theirs = (set(zip(w, w[1:], w[2:], strict=False)) for w in (words, all_words(text)))
            least = 0.6 if len(words) >= LONG_QUESTION else 1.0
            if len(words) >= 6 and len(ours & theirs) >= least * len(ours):
                expected.append((str(name), str(place)))
    assert [(one.document, one.row_id) for one in finder.found] == expected


def test_a_word_in_ten_may_be_another():
    rng = random.Random(0)
    for _ in range(50):
        words = [f"w{rng.randrange(10**6)}" for _ in range(80)]
        changed = list(words)
        for place in rng.sample(range(80), 8):
            changed[place] = "other"
        (share,) = shares(" ".join(words), f"{PADDING} {' '.join(changed)} {PADDING}")
        assert 0.6 < share < 1
