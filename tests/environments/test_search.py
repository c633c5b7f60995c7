"""Search: what a turn finds, what is no search, controls, and where queries may go."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from reward_score.evidence import evidence_recall
from tests.retrieval.search_server import reply, serving
from verl_medu1.data.actions import search_turn
from verl_medu1.data.generated.lookup import demonstrate, documents, draw_drugs
from verl_medu1.environments.search import FAILED, NEITHER, NOTHING, Search
from verl_medu1.retrieval.build import build_index

ROW = {"data_source": "quickstart-lookup", "extra_info": {}}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    train, test, _ = draw_drugs(0)
    rows = [{"id": entry.id, "title": entry.title, "text": entry.text} for entry in documents([*train, *test])]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index([folder / "corpus.jsonl"], folder / "index")
    return folder / "index"


def said(index: Path, turns: list[str], **settings: Any) -> tuple[list[str | None], Any]:
    session = Search({"index": str(index), "documents": 1, **settings}).start(ROW)

    async def hold() -> list[str | None]:
        return [await session.step(turn) for turn in turns]

    return asyncio.run(hold()), session


def test_each_name_finds_what_says_most_of_it(index: Path) -> None:
    for drug in draw_drugs(0)[1]:
        replies, session = said(index, [search_turn(drug.name), search_turn(drug.kind)])
        assert replies == [entry.shown() for entry in documents([drug])]
        assert (session.calls, session.invalid, session.failed) == (2, 0, 0)
        assert session.facts()["searches"][0] == {"query": drug.name, "documents": [drug.name]}


@pytest.mark.parametrize(
    ("turn", "reply"),
    [
        (search_turn("qqq"), NOTHING),
        ("<think>a</think><search> </search>", NEITHER),
        ("<think>a</think><search>a</search><search>b</search>", NEITHER),
        ("<think><search>a</search></think>", NEITHER),
        ("<think>a</think><search>a", NEITHER),
        ("", NEITHER),
        ("<think>a</think><answer>35</answer>", None),
        ("<think>a</think><search>a</search><answer>35</answer>", None),
    ],
)
def test_what_is_a_search_and_what_is_none(index: Path, turn: str, reply: str | None) -> None:
    replies, session = said(index, [turn])
    assert replies == [reply] and session.invalid == (reply == NEITHER)


def test_controls_show_nothing_or_any_document(index: Path) -> None:
    (drug, *_) = draw_drugs(0)[1]
    assert said(index, [search_turn(drug.name)], instead="nothing")[0] == [NOTHING]
    other = said(index, [search_turn(drug.name)] * 2, instead="random", documents=2)[0]
    assert other[0] == other[1] and str(other[0]).count("\n\n") == 1
    assert not str(other[0]).startswith(f"{drug.name}:")


def test_a_server_that_fails_is_told_and_counted() -> None:
    with serving() as server:
        server.answer = lambda request: reply("", status=500)
        session = Search({"address": server.address}).start(ROW)
        assert asyncio.run(session.step(search_turn("a"))) == FAILED
    assert (session.calls, session.failed) == (1, 1)
    assert session.facts() == {"searches": [{"query": "a", "failed": "search: HTTP 500"}], "evidence": []}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"^episodes.settings: index is None and address is None; give one"),
        ({"documents": 0}, r"documents is 0; give a whole number"),
        ({"instead": "all"}, r"instead is 'all'; give nothing or random, or null"),
        ({"instead": "random", "address": "http://127.0.0.1:1/"}, r"'random', which needs an index"),
        ({"idnex": "a"}, r"^episodes.settings: idnex is not a key"),
    ],
)
def test_wrong_settings_are_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Search(settings)


def test_queries_about_credentialed_rows_stay_here() -> None:
    away = Search({"address": "http://search.example/retrieve"})
    with pytest.raises(ValueError, match="EHRNoteQA may not leave this machine"):
        away.start(ROW | {"data_source": "EHRNoteQA"})
    assert away.start(ROW) and Search({"address": "http://127.0.0.1:1/"}).start(ROW | {"data_source": "EHRNoteQA"})


def test_an_episode_says_how_much_of_its_evidence_was_shown(index: Path) -> None:
    (drug, other, *_) = draw_drugs(0)[1]
    named = json.dumps({"evidence": [drug.name, drug.kind]})
    found = []
    for queries in ([], [drug.name], [drug.name] * 3, [drug.kind, drug.name], [other.name]):
        session = Search({"index": str(index), "documents": 1}).start(ROW | {"extra_info": {"environment": named}})
        for query in queries:
            asyncio.run(session.step(search_turn(query)))
        found.append(evidence_recall(session.facts()))
    assert found == [0.0, 0.5, 0.5, 1.0, 0.0]
    assert evidence_recall(said(index, [search_turn(drug.name)])[1].facts()) is None


@pytest.mark.parametrize("named", ["{", "[]", '{"evidence": "a"}', '{"evidence": [1]}'])
def test_evidence_that_can_not_be_read(named: str) -> None:
    environment = Search({"address": "http://127.0.0.1:1/"})
    with pytest.raises(ValueError, match=r"^row 'q/1' has an extra_info.environment that can't be read"):
        environment.start(ROW | {"extra_info": {"row_id": "q/1", "environment": named}})


def test_right_demonstrations_search_as_the_index_finds(index: Path) -> None:
    train, *_ = draw_drugs(0)
    rng = random.Random(0)
    right = 0
    for drug in train[:60]:
        turns = demonstrate(drug, train, rng)
        asked = [text for role, text in turns if role == "assistant"]
        heard = [text for role, text in turns if role == "user"]
        replies = said(index, asked)[0]
        assert replies == [*heard, None]
        right += f"<answer>{drug.dose}<" in asked[-1] and len(asked) == 3
    assert 0.2 < right / 60 < 0.6
