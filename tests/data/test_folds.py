"""Official folds: which rows are a benchmark's test set, and that nobody trains on them unasked.

All rows but PubMedQA's own are invented.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.real_data import real_file
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.benchmark import read_benchmark
from verl_medu1.data.sources import READERS, load_source, read_source
from verl_medu1.data.sources.pubmedqa import official_pmids

OPTIONS = {"A": "Aspirin", "B": "Heparin", "C": "Rest", "D": "Surgery"}
OF_THE_TEST, OF_NO_TEST = min(official_pmids()), "1"
# Sources without a test set: they are published to train on, or are one's own.
WITHOUT = {"medical-o1", "medical-o1-verifiable", "own"}


def medqa(number: int) -> dict:
    return {"question": f"Patient {number} has a sore thumb. What helps?", "options": OPTIONS, "answer_idx": "C"}


def medxpertqa(number: int) -> dict:
    return {"id": f"Text-{number}", "question": f"Patient {number}: which drug?", "options": OPTIONS, "label": "B"}


def pubmedqa(pmid: object) -> dict:
    context = {"contexts": [f"Sailors rested at place {pmid}."]}
    return {"pubid": pmid, "question": f"Does rest help at {pmid}?", "context": context, "final_decision": "yes"}


def write(path: Path, records: list[dict]) -> Path:
    path.write_text(json.dumps(records))
    return path


def rows(out: Path, split: str) -> set[str]:
    file = out / f"{split}.parquet"
    return {row["extra_info"]["row_id"] for row in pq.read_table(file).to_pylist()} if file.exists() else set()


def facts(out: Path, name: str) -> dict:
    return json.loads((out / "manifest.json").read_text())["sources"][name]


@pytest.mark.parametrize(
    ("name", "own_id", "split", "expected"),
    [
        ("medqa", 0, "train", False),
        ("medqa", 0, "test", True),
        ("medqa", 0, None, False),
        # Parts and several splits, as the package datasets takes them.
        ("medqa", 0, "test[:10%]", True),
        ("medqa", 0, "train[:10%]", False),
        ("medqa", 0, "train + test", True),
        ("medqa", 0, "all", True),
        ("medmcqa", "x", "train", False),
        ("medmcqa", "x", "validation", True),
        ("medmcqa", "x", None, False),
        ("mediq", 1, "validation", True),
        ("mediq", 1, "test", True),
        ("mediq", 1, None, False),
        ("medcalc", 1, "train", False),
        ("medcalc", 1, "test", True),
        ("medcalc", 1, None, False),
        ("medcalc-verified", 1, "test", True),
        ("medcalc-verified", 1, "one_shot", False),
        # Nothing is published to train on, so that a file of any name holds test rows.
        ("medxpertqa", "Text-0", "test", True),
        ("medxpertqa", "Text-0", None, True),
        ("mmlu-pro", 70, "test", True),
        ("mmlu-pro", 70, None, True),
        ("ehrnoteqa", 0, None, True),
        ("pubmedqa", OF_THE_TEST, "train", True),
        ("pubmedqa", int(OF_THE_TEST), None, True),
        ("pubmedqa", float(OF_THE_TEST), None, True),
        ("pubmedqa", OF_NO_TEST, "train", False),
        ("pubmedqa", OF_NO_TEST, None, False),
    ],
)  # fmt: skip
def test_each_source_states_which_rows_are_a_test_set(name, own_id, split, expected):
    assert READERS[name].official_test.holds(own_id, split) is expected


def test_every_source_but_those_published_for_training_states_it():
    assert {name for name, reader in READERS.items() if reader.official_test is None} == WITHOUT


def test_the_folds_of_pubmedqa_are_asked_for_by_name(monkeypatch):
    asked = []

    def read_hub(repository, config, split):
        asked.append(split)
        return [("row 0", pubmedqa(int(OF_THE_TEST))), ("row 1", pubmedqa(int(OF_NO_TEST)))]

    monkeypatch.setattr("verl_medu1.data.sources.read_hub", read_hub)
    loaded = {where: load_source("pubmedqa", where) for where in ("hub", "hub:train", "hub:test")}
    assert {where: [row.row_id for row in one.examples] for where, one in loaded.items()} == {
        "hub": [f"pubmedqa/{OF_NO_TEST}"],
        "hub:train": [f"pubmedqa/{OF_NO_TEST}"],
        "hub:test": [f"pubmedqa/{OF_THE_TEST}"],
    }
    assert asked == ["train"] * 3
    assert [loaded[where].provenance["fold"] for where in ("hub", "hub:test")] == ["train", "test"]
    assert loaded["hub:test"].official and not loaded["hub"].official
    with pytest.raises(ValueError, match=r"pubmedqa=hub:dev names no fold; choose hub:train \(.*\) or hub:test"):
        load_source("pubmedqa", "hub:dev")


def test_test_rows_are_held_out_and_kept_only_where_that_is_asked_for(tmp_path, capsys):
    pmids = sorted(official_pmids())[:10]
    path = write(tmp_path / "a.json", [pubmedqa(int(pmid)) for pmid in [*pmids, *map(str, range(1, 31))]])
    prepare([f"pubmedqa={path}"], tmp_path / "out", test_share=0.5)
    assert rows(tmp_path / "out", "test") == {f"pubmedqa/{pmid}" for pmid in pmids}
    assert rows(tmp_path / "out", "train") == {f"pubmedqa/{number}" for number in range(1, 31)}
    assert facts(tmp_path / "out", "pubmedqa")["official_train"] == 0
    assert "10 rows are of the 500 test questions of PubMedQA, and stand in test.parquet" in capsys.readouterr().err

    prepare([f"pubmedqa={path}"], tmp_path / "out", test_share=0.5, keep_test_rows=True)
    trained = rows(tmp_path / "out", "train") & {f"pubmedqa/{pmid}" for pmid in pmids}
    found = facts(tmp_path / "out", "pubmedqa")
    assert trained and found["official_train"] == len(trained) == 10 - found["official_test"]
    assert found["test_set"] == "the 500 test questions of PubMedQA"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["keep_test_rows"] is True
    assert f"{len(trained)} training rows are of the 500 test questions" in capsys.readouterr().err


@settings(max_examples=15, deadline=None)
@given(
    places=st.sets(st.integers(0, 40), min_size=2, max_size=12),
    others=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.3, 0.9]),
    cap=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_whatever_is_asked_for_no_test_row_is_trained_on(tmp_path_factory, places, others, share, cap, seed):
    pmids = [sorted(official_pmids())[place] for place in places]
    out = tmp_path_factory.mktemp("any")
    records = [pubmedqa(int(pmid)) for pmid in [*pmids, *map(str, range(1, others + 1))]]
    path = write(out / "a.json", records[::-1] if seed % 2 else records)
    sources = [f"pubmedqa={path}", "synthetic-calc=5"]
    prepare(sources, out / "data", test_share=share, cap=[f"pubmedqa={cap}"], seed=seed)
    of_the_test = {f"pubmedqa/{pmid}" for pmid in pmids}
    train, test = rows(out / "data", "train"), rows(out / "data", "test")
    assert not train & of_the_test and not train & test
    assert {row for row in test if row.startswith("pubmedqa")} <= of_the_test
    assert len([row for row in train | test if row.startswith("pubmedqa")]) == min(cap, len(records))


def test_a_benchmark_without_training_rows_makes_a_test_file_alone(tmp_path, capsys):
    path = write(tmp_path / "a.json", [medxpertqa(number) for number in range(6)])
    out = tmp_path / "out"
    prepare(["synthetic-calc=20", f"medxpertqa={path}"], out, cap=["medxpertqa=4"])
    assert len(rows(out, "test")) == 4 + 2 and len(rows(out, "train")) == 18
    capsys.readouterr()
    # A file of an earlier preparation may hold what is a test row now.
    prepare([f"medxpertqa={path}"], out)
    assert sorted(file.name for file in out.iterdir()) == ["manifest.json", "test.parquet"]
    assert len(rows(out, "test")) == 6 and "There is no row to train on" in capsys.readouterr().err


def test_a_test_set_stays_whole_and_what_is_like_it_is_not_trained_on(tmp_path):
    # A pair of the test set that is alike, another question with the same text, and one of no test set.
    twins = [medxpertqa(1), {**medxpertqa(1), "id": "Text-2"}]
    copy = {"question": twins[0]["question"], "options": OPTIONS, "answer_idx": "B"}
    test, train = write(tmp_path / "test.json", twins), write(tmp_path / "train.json", [copy, medqa(7)])
    for sources in ([f"medqa={train}", f"medxpertqa={test}"], [f"medxpertqa={test}", f"medqa={train}"]):
        prepare(sources, tmp_path / "out", test_share=0.0)
        assert rows(tmp_path / "out", "test") == {"medxpertqa/Text-1", "medxpertqa/Text-2"}
        assert rows(tmp_path / "out", "train") == {"medqa/1"}
        assert facts(tmp_path / "out", "medqa")["contaminated"] == 1
    # A benchmark is held against what is trained on, never against itself.
    prepare([f"medxpertqa={test}"], tmp_path / "out", benchmark=[f"medxpertqa={test}"])
    assert len(rows(tmp_path / "out", "test")) == 2


def test_pubmedqa_without_its_ids_is_refused(tmp_path):
    record = pubmedqa(1)
    del record["pubid"]
    with pytest.raises(ValueError, match="the columns pubid are missing"):
        read_source("pubmedqa", write(tmp_path / "a.json", [record]))
    with pytest.raises(ValueError, match="record 1: field pubid is empty"):
        read_source("pubmedqa", write(tmp_path / "a.json", [pubmedqa(1), {**record, "pubid": None}]))


@pytest.mark.parametrize(
    ("name", "split"),
    [("medqa", "test"), ("medmcqa", "validation"), ("pubmedqa", "test"), ("medcalc", "test")],
)
def test_a_benchmark_of_the_hub_is_never_its_training_rows(name, split):
    with pytest.raises(
        ValueError, match=f"--benchmark {name}=hub reads rows to train on; write {name}=hub:{split} for"
    ):
        read_benchmark(f"{name}=hub")


def test_the_published_questions_of_pubmedqa_split_in_halves(tmp_path):
    assert official_pmids() == set(json.loads(real_file("pubmedqa_test_ids.json").read_text()))
    prepare([f"pubmedqa={real_file('pubmedqa_ori_pqal.json')}"], tmp_path / "out")
    train, test = rows(tmp_path / "out", "train"), rows(tmp_path / "out", "test")
    assert len(train) == len(test) == 500 and not train & test
    assert test == {f"pubmedqa/{pmid}" for pmid in official_pmids()}
