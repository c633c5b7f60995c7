"""Building, opening and searching an index."""

import json
import math
import random
import string
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_medu1.retrieval.build import build_index
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.index import LocalIndex
from verl_medu1.retrieval.words import search_words

ENTRIES = [
    ("k", "Vitamin K", "Vitamin K is needed for clotting."),
    ("b", "Hepatitis B", "A virus of the liver."),
    ("c", "Hepatitis C", "A virus of the liver."),
    ("w", "Warfarin", "Warfarin acts against vitamin K; its dose is adjusted to clotting."),
    ("e", "", "!!! ..."),
]


def corpus(path: Path, entries: list[tuple[str, str, str]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    names = ("id", "title", "text")
    path.write_text("".join(json.dumps(dict(zip(names, entry, strict=True))) + "\n" for entry in entries))
    return path


def made(folder: Path, entries: list[tuple[str, str, str]]) -> LocalIndex:
    build_index([corpus(folder / "corpus.jsonl", entries)], folder / "index")
    return LocalIndex(folder / "index")


def ids(documents: list[Document]) -> list[str]:
    return [document.id for document in documents]


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> LocalIndex:
    return made(tmp_path_factory.mktemp("index"), ENTRIES)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("hepatitis c", ["c", "b"]),
        ("hepatitis", ["b", "c"]),
        ("WARFARIN!", ["w"]),
        ("warfarin and the dose", ["w"]),
        ("", []),
        (" \n\0", []),
        ("the and of", []),
        ("unknown", []),
        ("unknown virus", ["b", "c"]),
        ("\ud800 warfarin", ["w"]),
        ("ｗａｒｆａｒｉｎ", ["w"]),
    ],
)
def test_what_a_query_finds(index, query, expected):
    assert ids(index.search(query, 10)) == expected


def test_documents_come_back_whole(index):
    assert index.search("warfarin", 1) == [Document(*ENTRIES[3])]


def test_k(index):
    assert len(index.search("vitamin hepatitis", 1)) == 1
    assert len(index.search("vitamin hepatitis", 10**9)) == 4
    with pytest.raises(ValueError, match="k is 0"):
        index.search("vitamin", 0)


def test_a_query_of_a_megabyte(index):
    many = " ".join(map(str, range(150_000)))
    assert len(many) > 900_000
    assert ids(index.search(f"warfarin {many}", 3)) == ["w"]
    assert ids(index.search("warfarin " * 120_000, 3)) == ["w"]
    assert index.search(f"{many} warfarin", 3) == []  # the first different words count


def test_repeating_a_word_or_changing_the_order_changes_nothing(index):
    found = index.search("vitamin clotting liver", 5)
    assert index.search("liver clotting vitamin vitamin vitamin", 5) == found


def reference(entries: list[tuple[str, str, str]], query: str) -> dict[str, float]:
    """BM25 as Lucene computes it, written down from its formula (Kamphuis et al., ECIR 2020)."""
    words = {name: Counter(search_words(f"{title}\n{text}")) for name, title, text in entries}
    mean = sum(count.total() for count in words.values()) / len(words)
    scores = {}
    for name, count in words.items():
        score = 0.0
        for word in set(search_words(query)):
            number = sum(word in other for other in words.values())
            idf = math.log(1 + (len(words) - number + 0.5) / (number + 0.5))
            score += idf * count[word] / (count[word] + 1.5 * (0.25 + 0.75 * count.total() / mean))
        if score > 0:
            scores[name] = score
    return scores


SOME_WORDS = st.lists(st.sampled_from(["a1", "b2", "c3", "d4", "é", "5"]), max_size=8).map(" ".join)


@settings(max_examples=30, deadline=None)
@given(st.lists(SOME_WORDS, min_size=1, max_size=12), SOME_WORDS, st.integers(1, 15), st.randoms())
def test_the_order_is_by_score_then_id_and_the_scores_are_bm25(tmp_path_factory, texts, query, k, rng):
    names = rng.sample(string.ascii_letters, len(texts))
    entries = [(name, "", f"{text} x0") for name, text in zip(names, texts, strict=True)]
    scores = reference(entries, query)
    found = made(tmp_path_factory.mktemp("corpus"), entries).search(query, k)
    assert len(found) == min(k, len(scores)) and {one.id for one in found} <= scores.keys()
    # The index adds in single precision: scores that differ by less may stand in either order.
    for first, second in pairwise(found):
        assert scores[first.id] > scores[second.id] - 1e-5
        assert first.text != second.text or first.id < second.id
    left = [score for name, score in scores.items() if name not in ids(found)]
    assert not left or scores[found[-1].id] > max(left) - 1e-5


def test_ties_are_in_the_order_of_ids_for_each_k(tmp_path):
    names = [f"{n:03d}" for n in range(300)]
    shuffled = random.Random(0).sample(names, 300)
    index = made(tmp_path, [(name, "", "the same text") for name in shuffled])
    for k in (1, 2, 150, 299, 300, 301):
        assert ids(index.search("same", k)) == names[:k]


def test_the_same_corpus_gives_the_same_digest_and_files(tmp_path):
    first, second = made(tmp_path / "a", ENTRIES), made(tmp_path / "b", ENTRIES)
    assert first.facts == second.facts and first.facts.documents == 5
    for name in first.facts.files:
        assert (tmp_path / "a/index" / name).read_bytes() == (tmp_path / "b/index" / name).read_bytes()
    other = made(tmp_path / "c", [*ENTRIES[1:], ENTRIES[0]])
    assert other.facts.sha256 != first.facts.sha256


@pytest.mark.parametrize(("text", "message"), [("", "no text"), ("!?", "has a word")])
def test_a_folder_appears_only_when_it_is_whole(tmp_path, text, message):
    path = corpus(tmp_path / "corpus.jsonl", [("a", "", text)])
    with pytest.raises(ValueError, match=message):
        build_index([path], tmp_path / "index")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cant_be_written(tmp_path):
    path = corpus(tmp_path / "corpus.jsonl", ENTRIES)
    with pytest.raises(ValueError, match=r"can't be written, or .*Not a directory"):
        build_index([path], path / "index")


def test_an_existing_folder_is_left_alone(tmp_path):
    with pytest.raises(ValueError, match="exists"):
        build_index([corpus(tmp_path / "c.jsonl", ENTRIES)], tmp_path)


@pytest.fixture
def folder(tmp_path) -> Path:
    made(tmp_path, ENTRIES)
    return tmp_path / "index"


def facts(folder: Path, **changes) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "index.json").unlink(), "is no index of documents"),
        (lambda folder: (folder / "index.json").write_text("{"), "damaged index .*another form"),
        (lambda folder: (folder / "index.json").write_text("[]"), "damaged index .*another form"),
        (lambda folder: facts(folder, format=2, files="new"), "is an index of format 2, and this version reads 1"),
        (lambda folder: facts(folder, documents=4), "different numbers of documents"),
        (lambda folder: (folder / "documents.arrow").unlink(), "documents.arrow is missing"),
        (lambda folder: (folder / "words.arrow").write_bytes(b"x"), "words.arrow is missing or not"),
        (lambda folder: zeroed(folder / "documents.arrow"), "damaged index"),
        (lambda folder: zeroed(folder / "words.arrow"), "damaged index"),
        (lambda folder: zeroed(folder / "rank.npy"), "damaged index"),
        (lambda folder: zeroed(folder / "bm25/data.csc.index.npy"), "damaged index"),
        (lambda folder: zeroed(folder / "bm25/params.index.json"), "damaged index"),
    ],
)
def test_what_is_no_index_is_refused_in_a_sentence(folder, damage, message):
    damage(folder)
    with pytest.raises(ValueError, match=message) as error:
        LocalIndex(folder)
    assert "medu1 index build" in str(error.value) and "\n" not in str(error.value)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def test_no_folder(tmp_path):
    with pytest.raises(ValueError, match="is no index of documents"):
        LocalIndex(tmp_path / "none")
