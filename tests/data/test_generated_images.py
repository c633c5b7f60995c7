"""Pictures of spots: each shows its answer, read from the pixels alone, and nothing else tells it."""

import io
import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from reward_score import compute_score
from verl_medu1.data.generated.images import (
    GUESS,
    KINDS,
    LOOK,
    NAMES,
    RADII,
    SIDE,
    THRESHOLD,
    Shown,
    blank,
    demonstrate,
    draw,
)
from verl_medu1.data.generated.images_both import TEST_PICTURES
from verl_medu1.data.generated.images_files import TEST_QUESTIONS, prepare_images
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.prompts import load_prompts


def read_picture(kind: str, png: bytes) -> str:
    """The answer that the pixels show: an oracle that shares nothing with what draws them but the threshold."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    spots, number = ndimage.label(pixels > THRESHOLD)
    if kind == "presence":
        return "yes" if number else "no"
    if kind == "count":
        return str(number)
    assert number == 1
    if kind == "size":
        radius = np.sqrt((spots > 0).sum() / np.pi)
        return min(RADII, key=lambda name: abs(RADII[name] - radius))
    y, x = ndimage.center_of_mass(spots > 0)
    if abs(x - SIDE / 2) > abs(y - SIDE / 2):
        return "left" if x < SIDE / 2 else "right"
    return "top" if y < SIDE / 2 else "bottom"


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_a_picture_shows_its_answer(seed: int, agreement: float) -> None:
    shown = draw(random.Random(seed), agreement)
    assert read_picture(shown.kind, shown.example.images[0]) == shown.answer
    assert dict(shown.example.options)[shown.example.gold] == shown.answer


@given(st.integers(0, 2**32))
def test_a_blank_picture_shows_no_spot(seed: int) -> None:
    rng = random.Random(seed)
    example = blank(draw(rng).example, rng)
    assert read_picture("presence", example.images[0]) == "no"


@given(st.integers(0, 2**32))
def test_who_looks_is_right_and_every_answer_is_an_option(seed: int) -> None:
    rng = random.Random(seed)
    shown = draw(rng)
    reasoning, letter = demonstrate(shown, rng)
    way, said = reasoning.split()
    assert dict(shown.example.options)[letter] == said
    assert said == {LOOK: shown.answer, GUESS: shown.suggested}[way]
    response = f"<think>{reasoning}</think><answer>{letter}</answer>"
    options = [{"letter": letter, "text": text} for letter, text in shown.example.options]
    score = compute_score("quickstart-images", response, shown.example.gold, {"options": options})
    assert score["score"] == float(said == shown.answer)


def suggestions(drawn: list[Shown]) -> dict[str, float]:
    """How often the name that is read in a question suggests its answer, for each kind."""
    found = defaultdict(list)
    for shown in drawn:
        (named,) = [place for place, name in enumerate(NAMES) if name in shown.example.question]
        suggested = KINDS[shown.kind][0][named]
        assert suggested == shown.suggested
        found[shown.kind].append(suggested == shown.answer)
    return {kind: float(np.mean(agreed)) for kind, agreed in found.items()}


@pytest.mark.parametrize("agreement", [0.05, 0.95, None])
def test_the_name_tells_as_much_as_it_is_made_to(agreement: float | None) -> None:
    rng = random.Random(0)
    drawn = [draw(rng, agreement) for _ in range(1200)]
    found = suggestions(drawn)
    assert set(found) == set(KINDS)
    for kind, share in found.items():
        assert share == pytest.approx(agreement or 1 / len(KINDS[kind][0]), abs=0.1)
    answers = Counter((shown.kind, shown.answer) for shown in drawn)
    for kind, (of_kind, _) in KINDS.items():
        for answer in of_kind:
            assert answers[kind, answer] == pytest.approx(1200 / len(KINDS) / len(of_kind), rel=0.35)


def test_the_files_share_questions_only_where_they_are_to(tmp_path) -> None:
    prompts = load_prompts(PROMPTS_FILE)
    prepare_images(tmp_path / "a", prompts, 30, 20, seed=1)
    prepare_images(tmp_path / "b", prompts, 30, 20, seed=1)
    files = sorted(file.name for file in (tmp_path / "a").glob("*.parquet"))
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)

    rows = {name: pq.read_table(tmp_path / "a" / name).to_pylist() for name in files}
    assert {name: len(of_file) for name, of_file in rows.items()} == {
        **dict.fromkeys(("test.parquet", "test_blank.parquet", "test_other.parquet"), TEST_QUESTIONS),
        **dict.fromkeys(("train.parquet", "misleading.parquet"), 30),
        "reversed.parquet": TEST_QUESTIONS,
        "train_both.parquet": 30,
        **dict.fromkeys(("test_both.parquet", "test_both_blank.parquet", "test_both_other.parquet"), 2 * TEST_PICTURES),
        "warmup.parquet": 20,
        "warmup_both.parquet": 20,
    }
    pictures = {name: [row["images"][0]["bytes"] for row in of_file] for name, of_file in rows.items()}
    # The one whose pictures are another file's in another order.
    other, test = pictures.pop("test_other.parquet"), pictures["test.parquet"]
    assert other == [*test[1:], test[0]]
    other, test = pictures.pop("test_both_other.parquet"), pictures["test_both.parquet"]
    assert other == [*test[2:], *test[:2]]
    for name in ("train_both.parquet", "test_both.parquet"):
        closed, opened = pictures[name][::2], pictures[name][1::2]
        assert closed == opened
        pictures[name] = closed
    every = [picture for of_file in pictures.values() for picture in of_file]
    assert len(set(every)) == len(every)

    def asked(name: str) -> list[tuple]:
        return [(str(row["prompt"]), str(row["reward_model"])) for row in rows[name]]

    for test in ("test", "test_both"):
        assert asked(f"{test}.parquet") == asked(f"{test}_blank.parquet") == asked(f"{test}_other.parquet")
    ids = [row["extra_info"]["row_id"] for name in rows if "warmup" not in name for row in rows[name]]
    assert len(set(ids)) == len(ids)
    for row in rows["train.parquet"]:
        assert row["prompt"][-1]["content"].startswith("<image>")
