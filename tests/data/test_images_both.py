"""The same pictures asked with options and open-ended: answers, scorers and budgets."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import compute_score
from reward_score.response import format_response
from verl_medu1.data.generated.images import GUESS, KINDS, LOOK, NAMES, Shown
from verl_medu1.data.generated.images_both import REASONING, demonstrate_both, draw_both
from verl_medu1.data.generated.images_files import prepare_images
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.prompts import load_prompts
from verl_medu1.models.tiny import read_warmup_texts, train_tokenizer

SEEDS = st.integers(0, 2**32)
SCHEMES = ("gated_binary", "gated_similarity")


def scored(row: dict[str, Any], answer: str, scheme: str) -> float:
    response = format_response("x", answer)
    gold = row["reward_model"]["ground_truth"]
    return compute_score(row["data_source"], response, gold, row["extra_info"], scheme=scheme)["score"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("images")
    prepare_images(out, load_prompts(PROMPTS_FILE), 160, 200, seed=1)
    return out


def rows_of(data: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(data / f"{name}.parquet").to_pylist()


def kind_of(row: dict[str, Any]) -> str:
    asked = row["prompt"][-1]["content"].removeprefix("<image>").splitlines()[0]
    return next(
        kind
        for kind, (_, wordings) in KINDS.items()
        if asked in {wording.format(name=name) for wording in wordings for name in NAMES}
    )


@pytest.mark.parametrize("name", ["train_both", "test_both"])
def test_each_picture_is_asked_in_both_ways_with_one_answer(data: Path, name: str) -> None:
    rows = rows_of(data, name)
    assert Counter(row["ability"] for row in rows) == dict.fromkeys(("multiple_choice", "open_ended"), len(rows) // 2)
    for closed, opened in zip(rows[::2], rows[1::2], strict=True):
        options = {option["letter"]: option["text"] for option in closed["extra_info"]["options"]}
        assert options[closed["reward_model"]["ground_truth"]] == opened["reward_model"]["ground_truth"]
        assert closed["images"] == opened["images"] and not opened["extra_info"]["options"]
        assert kind_of(closed) == kind_of(opened)
        budgets = {(row["extra_info"]["budget_mode"], row["extra_info"]["budget_tokens"]) for row in (closed, opened)}
        ((mode, tokens),) = budgets
        assert mode == "exact" and tokens in REASONING
        assert all(f"Use about {tokens} tokens." in row["prompt"][-1]["content"] for row in (closed, opened))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_right_word_earns_all_and_a_wrong_one_nothing(data: Path, scheme: str) -> None:
    seen = set()
    for row in rows_of(data, "train_both")[1::2]:
        kind, gold = kind_of(row), row["reward_model"]["ground_truth"]
        seen.add((kind, gold))
        answers, _ = KINDS[kind]
        assert {answer: scored(row, answer, scheme) for answer in answers} == {
            answer: float(answer == gold) for answer in answers
        }
    assert seen == {(kind, answer) for kind, (answers, _) in KINDS.items() for answer in answers}


@pytest.mark.parametrize(
    ("kind", "listed", "paid"),
    [("side", "left top", 0.5), ("side", "left top right bottom", 0.4), ("size", "small medium large", 0.5)],
)
def test_similarity_pays_a_list_that_has_the_answer(data: Path, kind: str, listed: str, paid: float) -> None:
    # What docs/methods/study.md says of the reward.
    row = next(
        row
        for row in rows_of(data, "train_both")[1::2]
        if kind_of(row) == kind and row["reward_model"]["ground_truth"] == listed.split()[0]
    )
    assert [scored(row, listed, scheme) for scheme in SCHEMES] == [0.0, pytest.approx(paid)]


def test_no_held_out_picture_is_trained_on(data: Path) -> None:
    held_out = {row["images"][0]["bytes"] for row in rows_of(data, "test_both")}
    for name in ("train", "misleading", "train_both", "warmup", "warmup_both"):
        assert not held_out & {row["images"][0]["bytes"] for row in rows_of(data, name)}


@given(SEEDS, st.booleans())
def test_a_demonstration_looks_and_is_right_or_guesses(seed: int, is_open: bool) -> None:
    shown, (reasoning, answer) = demonstrate_both(random.Random(seed), is_open)
    way, said = reasoning.replace(",", " ").split()[:2]
    assert any(reasoning == text.format(way=way, said=said) for text in REASONING.values())
    assert said == {LOOK: shown.answer, GUESS: shown.suggested}[way]
    options = dict(shown.example.options)
    assert bool(options) != is_open
    assert (answer if is_open else options[answer]) == said


@given(SEEDS)
def test_the_two_ways_differ_in_the_answer_alone(seed: int) -> None:
    def left(shown: Shown) -> tuple[Any, ...]:
        return shown.kind, shown.answer, shown.budget, shown.example.question, shown.example.images

    closed, opened = draw_both(random.Random(seed), 1)
    assert left(closed) == left(opened)


def test_demonstrations_have_both_kinds_and_the_lengths_of_the_budgets(data: Path) -> None:
    rows = rows_of(data, "warmup_both")
    opened = ["Answer in a few words." in row["messages"][1]["content"] for row in rows]
    assert sum(opened) == len(rows) / 2
    tokenizer = train_tokenizer(read_warmup_texts(data / "warmup_both.parquet"))
    lengths = [len(tokenizer(row["messages"][-1]["content"])["input_ids"]) + 1 for row in rows]
    nearest = [min(REASONING, key=lambda budget: abs(budget - length)) for length in lengths]
    assert set(nearest) == set(REASONING)
    for budget, length in zip(nearest, lengths, strict=True):
        assert length == pytest.approx(budget, rel=0.15)
    # Half of them state a budget that is drawn anew, which is theirs in a third of the cases.
    asked = [row["messages"][1]["content"] for row in rows]
    stated = [f"Use about {budget} tokens." in text for budget, text in zip(nearest, asked, strict=True)]
    assert np.mean(stated) == pytest.approx(2 / 3, abs=0.07)
