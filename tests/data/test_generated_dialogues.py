"""The files of the generated searches and consultations: the same bytes for a seed, and nothing of the test in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reward_score import check_gold
from reward_score.evidence import STAGES
from verl_medu1.data.generated import lookup, searcher
from verl_medu1.data.generated.consultation_files import prepare_consultation
from verl_medu1.data.generated.lookup_files import prepare_lookup
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.generated.searcher_files import prepare_searcher
from verl_medu1.data.prompts import load_prompts

PROMPTS = load_prompts(PROMPTS_FILE)
ANSWERED = [prepare_lookup, prepare_consultation]
ALL = pytest.mark.parametrize("prepare", [*ANSWERED, prepare_searcher])


def rows(file: Path) -> list[dict[str, Any]]:
    return pq.read_table(file).to_pylist()


@ALL
def test_a_seed_gives_the_same_bytes(tmp_path: Path, prepare: Callable[..., Any]) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare(tmp_path / name, PROMPTS, 30, 30, seed)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert [(tmp_path / "a" / name).read_bytes() for name in files] == [
        (tmp_path / "b" / name).read_bytes() for name in files
    ]
    assert (tmp_path / "a" / "train.parquet").read_bytes() != (tmp_path / "c" / "train.parquet").read_bytes()


@ALL
def test_each_gold_answer_passes_its_own_scorer(tmp_path: Path, prepare: Callable[..., Any]) -> None:
    prepare(tmp_path, PROMPTS, 30, 1, 0)
    for row in [*rows(tmp_path / "train.parquet"), *rows(tmp_path / "test.parquet")]:
        assert check_gold(row["data_source"], row["reward_model"]["ground_truth"], row["extra_info"]) is None


@pytest.mark.parametrize("prepare", ANSWERED)
def test_dialogues_alternate_and_end_with_an_answer(tmp_path: Path, prepare: Callable[..., Any]) -> None:
    prepare(tmp_path, PROMPTS, 1, 200, 0)
    lengths = set()
    for row in rows(tmp_path / "warmup.parquet"):
        roles = [message["role"] for message in row["messages"][1:]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        said = [message["content"] for message in row["messages"] if message["role"] == "assistant"]
        assert ["<answer>" in text for text in said] == [False] * (len(said) - 1) + [True]
        lengths.add(len(said))
    assert 1 in lengths and max(lengths) >= 3


@pytest.mark.parametrize(("world", "prepare"), [(lookup, prepare_lookup), (searcher, prepare_searcher)])
def test_no_dialogue_and_no_training_question_names_a_held_out_drug(tmp_path: Path, world: Any, prepare: Any) -> None:
    prepare(tmp_path, PROMPTS, 300, 300, 0)
    train, test, _ = world.draw_drugs(0)
    held_out = {entry.id for entry in world.documents(test)}
    seen = json.dumps([rows(tmp_path / "train.parquet"), rows(tmp_path / "warmup.parquet")])
    assert not [name for name in held_out if name in seen]
    corpus = {row["id"] for row in rows(tmp_path / "corpus.parquet")}
    assert corpus == held_out | {entry.id for entry in world.documents(train)}
    for row in [*rows(tmp_path / "train.parquet"), *rows(tmp_path / "test.parquet")]:
        evidence = json.loads(row["extra_info"]["environment"])["evidence"]
        assert evidence and corpus >= set(evidence)


def test_a_searcher_ends_with_a_selection_and_never_answers(tmp_path: Path) -> None:
    prepare_searcher(tmp_path, PROMPTS, 1, 200, 0)
    for row in rows(tmp_path / "warmup.parquet"):
        said = [message["content"] for message in row["messages"] if message["role"] == "assistant"]
        assert ["<stop/>" in text for text in said] == [False] * (len(said) - 1) + [True]
        assert not [text for text in said if "<answer>" in text]


def test_each_question_is_there_in_the_form_of_each_stage(tmp_path: Path) -> None:
    prepare_lookup(tmp_path, PROMPTS, 50, 90, 0)
    asked = rows(tmp_path / "stages.parquet")
    assert len(asked) == 150 and len({row["extra_info"]["row_id"] for row in asked}) == 150
    texts = {row["id"]: f"{row['title']}: {row['text']}" for row in rows(tmp_path / "corpus.parquet")}
    for forms in zip(asked[::3], asked[1::3], asked[2::3], strict=True):
        assert tuple(row["extra_info"]["stage"] for row in forms) == STAGES
        assert len({json.dumps([row["reward_model"], row["extra_info"]["environment"]]) for row in forms}) == 1
        reason, retrieve, joint = (row["prompt"][-1]["content"] for row in forms)
        evidence = json.loads(forms[0]["extra_info"]["environment"])["evidence"]
        assert retrieve == joint and reason == "\n".join([*(texts[name] for name in evidence), joint])
    # One of three demonstrations has documents in its prompt, and says its answer at once.
    warm = rows(tmp_path / "stages_warmup.parquet")
    reading = [row["messages"] for row in warm if " is a drug of class " in row["messages"][1]["content"]]
    assert len(reading) == 30 and {len(messages) for messages in reading} == {3}
    right = [
        f" give {messages[-1]['content'].split('<answer>')[1][:2]} mg" in messages[1]["content"] for messages in reading
    ]
    assert 5 < sum(right) < 25


def test_a_few_patients_know_nothing_and_none_of_the_tests(tmp_path: Path) -> None:
    prepare_consultation(tmp_path, PROMPTS, 400, 400, 0)

    def knowing(name: str) -> list[bool]:
        return [bool(json.loads(row["extra_info"]["environment"])["findings"]) for row in rows(tmp_path / name)]

    assert 0.8 < sum(knowing("train.parquet")) / 400 < 0.98
    assert all(knowing("test.parquet") + knowing("test_prior.parquet"))
    said = [[message["content"] for message in row["messages"]] for row in rows(tmp_path / "warmup.parquet")]
    ignorant = [texts for texts in said if "unknown" in texts]
    assert ignorant
    # What is thought of the diseases stays what the complaint alone says.
    for texts in ignorant:
        thoughts = [text.partition(": ")[2].partition("<")[0] for text in texts if text.startswith("<think>")]
        assert len({thought.partition(";")[0] for thought in thoughts}) == 1
