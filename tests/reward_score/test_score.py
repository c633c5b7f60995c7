import logging
import math
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_score import Score, check_gold, compute_score, compute_scores, error_counts, known_sources

KEYS = set(Score.__annotations__)
OPTIONS = {"A": "aspirin", "B": "heparin", "C": "warfarin"}
GOLD: list[tuple[str, str, dict[str, Any]]] = [
    ("MedQA", "B", {"options": OPTIONS}),
    ("MedCalc-Bench", "25.238", {"lower_limit": "23.9761", "upper_limit": "26.4999"}),
    ("MedCalc-Bench", "3", {}),
    ("MedCalc-Bench", "12.5", {"unit": "mg/dL"}),
    ("MedCalc-Bench", "09/23/2014", {}),
    ("MedCalc-Bench", "('17 weeks', '6 days')", {}),
    ("medical-o1-reasoning-SFT", "It is not a benign lesion of the left < 5 mm duct.", {"question": "What is it?"}),
]
# Pieces of hostile answers, to be put together at random.
PIECES = (
    ["<think>", "</think>", "<answer>", "</answer>", "B", "b", "(", ")", ".", ",", " ", "\n", "25.2", "1,200",
    "9" * 30, "-",
     "e", "1e309", "%", "/", "mg", "g/dL", "\\boxed{", "}", "$", "\\frac{", "nan", "09/23/2014", "17 weeks",
     "6 days", "not",
     "不", "糖", "Β", "½", "²", "\u200b", "\u0301", "\ud800", "\x00", "heparin", "<", "≤", "=", "^", "10", "*",
     "x", "ﷺ", "'"]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
ANYTHING = st.one_of(
    TEXT,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
)
INFO = st.one_of(
    ANYTHING,
    st.dictionaries(
        st.sampled_from(
            "options lower_limit upper_limit safe_lower safe_upper unit answer_type question threshold budget_mode "
            "budget_tokens".split()
        ),
        st.one_of(ANYTHING, st.dictionaries(st.sampled_from("ABc1"), TEXT, max_size=3)),
        max_size=4,
    ),
)  # fmt: skip


def wrap(answer: str) -> str:
    return f"<think>Because of the history.</think>\n<answer>{answer}</answer>"


def check_shape(result: Score) -> None:
    assert set(result) == KEYS
    for key, kind in Score.__annotations__.items():
        assert type(result[key]) is kind  # type: ignore[literal-required]
        assert kind is str or math.isfinite(result[key])  # type: ignore[literal-required]


@given(
    source=st.one_of(st.sampled_from([*known_sources(), "nope"]), ANYTHING),
    response=st.one_of(ANYTHING, TEXT.map(wrap)),
    gold=st.one_of(ANYTHING, st.sampled_from([gold for _, gold, _ in GOLD])),
    info=INFO,
    scheme=st.sampled_from(["gated_binary", "gated_similarity", "release", "nope"]),
)
@settings(max_examples=400)
def test_no_input_raises_and_keys_never_vary(source: Any, response: Any, gold: Any, info: Any, scheme: str) -> None:
    result = compute_score(source, response, gold, info, scheme=scheme, num_tokens=7)
    check_shape(result)
    assert result == compute_score(source, response, gold, info, scheme=scheme, num_tokens=7)
    if result["error"]:
        assert (result["score"], result["acc"]) == (0.0, 0.0)
        assert result["reason"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_mutated_answers() -> None:
    rng = random.Random(0)
    for _ in range(1_000_000):
        source, gold, info = rng.choice(GOLD)
        text = list(wrap(gold) if rng.random() < 0.5 else gold)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(text) + 1)
            piece = rng.choice(PIECES) if rng.random() < 0.8 else chr(rng.randrange(0x110000))
            text[place : place + rng.randint(0, 3)] = [piece]
        mutated = "".join(text)
        for response in (mutated, wrap(mutated)):
            result = compute_score(source, response, gold, info)
            check_shape(result)
            assert result["error"] == 0.0, result["reason"]


@given(
    row=st.sampled_from(GOLD), answer=TEXT, left=st.text(" \n\t\u00a0", max_size=4), right=st.text(" \n\t", max_size=4)
)
@settings(max_examples=300)
def test_padding_with_whitespace_changes_nothing(
    row: tuple[str, str, dict[str, Any]], answer: str, left: str, right: str
) -> None:
    source, gold, info = row
    plain = compute_score(source, wrap(answer), gold, info)
    padded = (
        f"{left}<think>{left}Because of the history.{right}</think>{left}<answer>{left}{answer}{right}</answer>{right}"
    )
    assert compute_score(source, padded, gold, info) == plain
    assert compute_score(source, wrap(answer), left + gold + right, info) == plain


@given(source=st.sampled_from(known_sources()), gold=TEXT, answer=TEXT, info=INFO)
@settings(max_examples=200)
def test_no_answer_beats_the_gold_answer(source: str, gold: str, answer: str, info: Any) -> None:
    best = compute_score(source, wrap(gold.strip()), gold, info)
    assert compute_score(source, wrap(answer), gold, info)["acc"] <= best["acc"]
    assert (best["acc"] == 1.0) == (check_gold(source, gold, info) is None)


@pytest.mark.parametrize(("source", "gold", "info"), GOLD)
@pytest.mark.parametrize(
    "response", ["", "{}", "<think>a</think><answer>{}", "<think>a</think><answer>{0}</answer><answer>{0}</answer>"]
)
def test_without_one_answer_nothing_is_right(source: str, gold: str, info: dict[str, Any], response: str) -> None:
    result = compute_score(source, response.format(gold), gold, info)
    assert (result["score"], result["acc"], result["format"], result["error"], result["pred"]) == (
        0.0,
        0.0,
        0.0,
        0.0,
        "",
    )


@pytest.mark.parametrize(("source", "gold", "info"), GOLD)
def test_accuracy_and_format_are_apart(source: str, gold: str, info: dict[str, Any]) -> None:
    # D25: right but badly formed is not wrong but well-formed
    right_only = compute_score(source, f"<answer>{gold}</answer>", gold, info)
    format_only = compute_score(source, wrap("Z"), gold, info)
    both = compute_score(source, wrap(gold), gold, info)
    assert [(r["score"], r["acc"], r["format"]) for r in (right_only, format_only, both)] == [
        (0, 1, 0),
        (0, 0, 1),
        (1, 1, 1),
    ]


def test_the_prompt_is_never_searched_for_an_answer() -> None:
    # D21: the release looked for "Assistant:" in prompt and response
    response = "Physician Assistant: <answer>B</answer> exam <think>a</think> no answer"
    assert compute_score("MedQA", response, "B")["acc"] == 0.0


def test_unknown_source_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    # D19
    before = error_counts().get("never-heard-of", 0)
    with caplog.at_level(logging.ERROR, logger="reward_score"):
        results = [compute_score("never-heard-of", wrap("B"), "B") for _ in range(3)]
    assert [(r["error"], r["score"], r["format"], r["answer_type"]) for r in results] == [(1.0, 0.0, 1.0, "")] * 3
    assert error_counts()["never-heard-of"] == before + 3
    assert len([record for record in caplog.records if "never-heard-of" in record.getMessage()]) == 1


def test_error_counts_stay_bounded() -> None:
    for number in range(300):
        compute_score(f"source-{number}", wrap("B"), "B")
    assert len(error_counts()) <= 101


@pytest.mark.parametrize(
    ("source", "gold", "info"),
    [("MedQA", "E", {"options": OPTIONS}), ("MedQA", "", {}), ("MedQA", None, {}), ("MedQA", True, {}),
    ("MedQA", "B", 7),
     ("MedCalc-Bench", "nan", {}), ("MedCalc-Bench", float("nan"), {}), ("medical-o1-reasoning-SFT",
     "<answer>x</answer>", {})],
)  # fmt: skip
def test_an_unscorable_row_is_an_error_even_without_an_answer(source: str, gold: Any, info: Any) -> None:
    for response in (wrap("B"), ""):
        result = compute_score(source, response, gold, info)
        assert (result["error"], result["score"]) == (1.0, 0.0)


def test_gold_may_be_a_number_and_extra_arguments_are_ignored() -> None:
    result = compute_score("MedCalc-Bench", wrap("25.2"), 25.238, None, reward_router_address=None)  # type: ignore[arg-type]
    assert result["score"] == 1.0


def test_source_defaults_fill_what_the_row_lacks() -> None:
    for info in (None, {}, {"options": None}, {"options": []}):
        assert compute_score("PubMedQA", wrap("maybe"), "C", info)["score"] == 1.0
    assert compute_score("PubMedQA", wrap("maybe"), "A", {"options": {"A": "maybe", "B": "no"}})["score"] == 1.0


def test_batch_equals_one_by_one() -> None:
    sources, golds, infos = zip(*GOLD, strict=True)
    responses = [wrap(gold) for gold in golds]
    scores = compute_scores(sources, responses, golds, infos)
    assert scores == [compute_score(*row) for row in zip(sources, responses, golds, infos, strict=True)]
    assert [score["acc"] for score in compute_scores(sources, responses, golds)] == [1.0] * len(GOLD)
    with pytest.raises(ValueError):
        compute_scores(sources, responses[:-1], golds)


def test_threads_agree() -> None:
    expected = [compute_score(source, wrap(gold), gold, info) for source, gold, info in GOLD]
    failures: list[Score] = []

    def work() -> None:
        for _ in range(20):
            for (source, gold, info), wanted in zip(GOLD, expected, strict=True):
                result = compute_score(source, wrap(gold), gold, info)
                if result != wanted:
                    failures.append(result)
            compute_score("MedCalc-Bench", wrap("125 mg/L"), "12.5", {"unit": "mg/dL"})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    "filler", ["<think>", "<answer>", "9", "(", "\\frac{", "\\boxed{", " ", "a. ", "1,", "1 ", "1/", "- ",
    "_", "\u0301\u0323", "不", "ﷺ", "not "]
)  # fmt: skip
def test_time_is_linear(filler: str) -> None:
    # 1 MB takes about 20 ms on an idle machine; quadratic code would take minutes.
    bomb = filler * (1_000_000 // len(filler))
    for source, gold, info in GOLD:
        for response in (wrap(bomb), bomb + wrap("B"), f"<think>{bomb}</think><answer>B</answer>", wrap(bomb[:990])):
            started = time.process_time()
            check_shape(compute_score(source, response, gold, info))
            assert time.process_time() - started < 1.0


def test_import_is_light() -> None:
    code = (
        "import sys; sys.path.insert(0, {!r}); import reward_score; "
        "print([m for m in ('torch', 'verl', 'numpy', 'pint', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code.format(str(Path(__file__).resolve().parents[2]))],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
