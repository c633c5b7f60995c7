"""Duplicates and contamination: what counts as one, what does not, and what `medu1 prepare` does with it."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_medu1.cli.prepare import prepare
from verl_medu1.data.benchmark import read_benchmark
from verl_medu1.data.duplicates import DuplicateFinder, similarity
from verl_medu1.data.example import Example

CASE = (
    "A 54-year-old baker has had a cough for three weeks, fever in the evening and a weight loss of four kilograms; "
    "her neighbour was treated for tuberculosis last year. Which test comes first?"
)
# One word of 31 is another.
REWORDED = CASE.replace("baker", "teacher")
OTHER = "A sailor of twenty fell from a ladder and holds his left arm close. Which nerve is most likely to be hurt?"
NOTE = " ".join(["On Monday the ward saw a man of 70 kg with sodium of 128 mmol/L, potassium of 4.1 mmol/L"] * 2)
OPTIONS = (("A", "Sputum smear"), ("B", "Biopsy"), ("C", "Stool culture"))


def choice(question: str, gold: str = "A", options: tuple[tuple[str, str], ...] = OPTIONS) -> Example:
    return Example("MedQA", "1", "multiple_choice", question, gold, options)


def free(question: str, gold: str = "Sputum smear") -> Example:
    return Example("medical-o1-verifiable-problem", "1", "open_ended", question, gold)


def calculation(question: str, gold: str = "2", group: str = "") -> Example:
    return Example("MedCalc-Bench", "1", "calculation", question, gold, group=group)


def verdict(first: Example, second: Example) -> str:
    finder = DuplicateFinder()
    found = finder.within(finder.sketch([first, second]))
    return "none" if not found else "exact" if found[1].exact else "near"


SHUFFLED = (("A", "Biopsy"), ("B", "Stool culture"), ("C", "Sputum smear"))
TRUE = "Which of these is true?"
TEN = tuple((letter, f"Tablets of the kind {letter} from the shelf {letter} on the left") for letter in "ABCDEFGHIJ")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (free(CASE), free(CASE), "exact"),
        (free(CASE), free(CASE, "another answer"), "exact"),
        (free(CASE), free(f"  {CASE.upper()}\n"), "exact"),
        (choice(CASE), choice(CASE, "C", SHUFFLED), "exact"),
        (free(CASE), free(CASE.replace(",", "").replace(";", " -")), "near"),
        (free(CASE), free(REWORDED), "near"),
        (free(CASE), free(REWORDED, "worded otherwise"), "near"),
        (choice(CASE), choice(REWORDED), "near"),
        (choice(CASE), choice(REWORDED, "C", SHUFFLED), "near"),
        (choice(CASE), choice(CASE, "A", OPTIONS[:2]), "near"),
        # Another answer is another exercise.
        (choice(CASE), choice(REWORDED, "B"), "none"),
        (free(CASE), free(OTHER), "none"),
        # A short question is its options.
        (choice(TRUE), choice(TRUE, "A", (("A", "Ice is warm"), ("B", "Fire is cold"))), "none"),
        (choice(TRUE), choice(TRUE, "C", SHUFFLED), "exact"),
        # Another number in a short question asks for something else, whatever the options.
        (choice("Which vitamin 1?", "A", TEN), choice("Which vitamin 2?", "A", TEN), "none"),
        (choice("Which vitamin 1?", "A", TEN), choice("Which vitamin, 1?", "A", TEN), "near"),
        (choice("Which of them?", "A", TEN), choice("Which of these?", "A", TEN), "near"),
        (choice(CASE.replace("54", "53")), choice(CASE), "near"),
        # What differs is the symbols alone.
        (free("Complete: < [ ( ( ["), free("Complete: < [ [ ( ("), "none"),
        (calculation(f"{NOTE}. What is his BMI?"), calculation(f"{NOTE}. What is his body mass index?"), "near"),
        # Other numbers are another calculation, and so are two about one note.
        (calculation(f"{NOTE}. Score?"), calculation(f"{NOTE}. Score?".replace("128", "127")), "none"),
        (calculation(f"{NOTE}. SOFA?", group=NOTE), calculation(f"{NOTE}. APACHE?", group=NOTE), "none"),
        (calculation(f"{NOTE}. SOFA?", group=NOTE), calculation(f"{NOTE}. SOFA?", group=NOTE), "exact"),
    ],
)
def test_what_is_a_duplicate(first, second, expected):
    assert verdict(first, second) == expected


def test_the_first_is_kept_and_a_row_is_compared_with_kept_ones_only():
    finder = DuplicateFinder()
    rows = finder.sketch([free(OTHER), free(CASE), free(REWORDED), free(CASE), free(REWORDED)])
    found = finder.within(rows)
    assert {place: (row.of, row.exact) for place, row in found.items()} == {
        2: (1, False), 3: (1, True), 4: (1, False),
    }  # fmt: skip


def test_a_copy_of_a_near_duplicate_repeats_the_row_that_is_kept():
    finder = DuplicateFinder(0.5)
    near = CASE + " Tell why."
    found = finder.within(finder.sketch([free(CASE), free(near), free(near)]))
    assert {place: duplicate.of for place, duplicate in found.items()} == {1: 0, 2: 0}


def test_across_asks_for_no_answer():
    finder = DuplicateFinder()
    rows = finder.sketch([choice(REWORDED, "B"), free(OTHER), free(CASE)])
    assert finder.across(rows, finder.sketch([free("Why?"), choice(CASE)])) == {0: 1, 2: 1}
    assert finder.across(rows, []) == {}


@pytest.mark.parametrize("threshold", [0.49, 1.01, float("nan")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ValueError, match="--duplicate-threshold is"):
        DuplicateFinder(threshold)


WORDS = "fever cough pain rash sleep urine blood pulse liver lung".split()


@settings(max_examples=30)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25), min_size=2, max_size=25),
    threshold=st.sampled_from([0.5, 0.8, 1.0]),
    seed=st.integers(),
)
def test_reported_pairs_are_true_and_the_same_again(texts, threshold, seed):
    finder = DuplicateFinder(threshold, seed)
    rows = finder.sketch([free(" ".join(words)) for words in texts])
    found = finder.within(rows)
    for place, duplicate in found.items():
        assert duplicate.of < place and duplicate.of not in found
        assert duplicate.exact == (texts[place] == texts[duplicate.of])
        assert similarity(rows[place], rows[duplicate.of]) >= threshold
    again = DuplicateFinder(threshold, seed)
    assert again.within(again.sketch([row.example for row in rows])) == found


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95])
def test_of_pairs_at_the_threshold_hardly_any_is_missed(threshold):
    rng = random.Random(1)
    num_trigrams = 98
    num_changed = int(num_trigrams - 2 * num_trigrams * threshold / (1 + threshold))
    missed = 0
    for seed in range(300):
        words = [f"word{rng.randrange(10**6)}" for _ in range(num_trigrams + 2)]
        changed = words[: len(words) - num_changed] + [f"another{place}" for place in range(num_changed)]
        finder = DuplicateFinder(threshold, seed)
        rows = finder.sketch([free(" ".join(words)), free(" ".join(changed))])
        assert threshold <= similarity(*rows) < threshold + 0.05
        missed += not finder.within(rows)
    assert missed <= 4


def records(number: int) -> list[dict]:
    """MedQA records that have nothing in common."""
    rng = random.Random(number)
    options = dict(OPTIONS)
    return [
        {"question": " ".join(f"word{rng.randrange(10**6)}" for _ in range(30)), "options": options, "answer_idx": "A"}
        for _ in range(number)
    ]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def entry(out: Path, name: str = "medqa") -> dict:
    return json.loads((out / "manifest.json").read_text())["sources"][name]


def test_prepare_leaves_duplicates_and_contaminated_rows_out_and_counts_them(tmp_path, capfd):
    rows = records(40)
    reworded = {**rows[0], "question": rows[0]["question"] + " indeed"}
    source = write(tmp_path / "medqa.json", [*rows, rows[1], reworded])
    # Another source's question with an open end, as it stands in the training set: its answer does not matter.
    known = [{"Open-ended Verifiable Question": rows[5]["question"] + " today", "Ground-True Answer": "x"}]
    benchmark = [f"medical-o1-verifiable={write(tmp_path / 'known.json', known)}"]
    prepare([f"medqa={source}"], tmp_path / "out", benchmark=benchmark, test_share=0.25)
    counts = entry(tmp_path / "out")
    assert (counts["read"], counts["exact_duplicates"], counts["near_duplicates"], counts["contaminated"]) == (
        42, 1, 1, 1,
    )  # fmt: skip
    assert counts["train"] + counts["test"] == 39
    text = (tmp_path / "out" / "train.parquet").read_bytes() + (tmp_path / "out" / "test.parquet").read_bytes()
    assert rows[5]["question"].encode() not in text
    lines = {
        line.split("│")[1].strip(): line.split("│")[2].strip()
        for line in capfd.readouterr().out.splitlines()
        if "│" in line
    }
    assert (lines["read"], lines["near duplicates"], lines["contaminated"]) == ("42", "1", "1")
    assert (lines["train"], lines["test"]) == (str(counts["train"]), str(counts["test"]))

    prepare([f"medqa={source}"], tmp_path / "all", benchmark=benchmark, test_share=0.25, keep_contaminated=True)
    kept = entry(tmp_path / "all")
    assert kept["contaminated"] == 1 and kept["train"] + kept["test"] == 40


def test_a_prepared_file_is_a_benchmark(tmp_path):
    rows = records(30)
    prepare([f"medqa={write(tmp_path / 'a.json', rows)}"], tmp_path / "a", test_share=0.2)
    test = tmp_path / "a" / "test.parquet"
    loaded = read_benchmark(str(test))
    asked = {row["question"] for row in rows}
    assert len(loaded.examples) == 6
    assert all(example.question in asked and example.options == OPTIONS for example in loaded.examples)
    prepare([f"medqa={tmp_path / 'a.json'}"], tmp_path / "b", benchmark=[str(test)], test_share=0.0)
    counts = entry(tmp_path / "b")
    assert (counts["contaminated"], counts["train"]) == (6, 24)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    [told] = manifest["benchmarks"]
    assert told == {
        "file": "test.parquet",
        "sha256": loaded.provenance["sha256"],
        "read": 6,
        "others": {},
        "unusable": {},
    }


def test_one_vignette_with_two_questions_does_not_stand_on_both_sides(tmp_path):
    rows = records(60)
    twins = [{**row, "question": row["question"] + " or else", "answer_idx": "B"} for row in rows]
    prepare([f"medqa={write(tmp_path / 'a.json', rows + twins)}"], tmp_path / "out", test_share=0.3)
    counts = entry(tmp_path / "out")
    assert counts["near_duplicates"] == 0 and counts["contaminated"] > 0
    assert counts["train"] + counts["test"] + counts["contaminated"] == 120
    train, test = (pq.read_table(tmp_path / "out" / f"{split}.parquet").to_pylist() for split in ("train", "test"))
    first_lines = [
        {row["prompt"][-1]["content"].split(" or else")[0].split("\n")[0] for row in rows} for rows in (train, test)
    ]
    assert not first_lines[0] & first_lines[1]


def test_a_duplicate_is_found_across_sources_and_the_first_source_keeps_it(tmp_path):
    rows = records(20)
    problems = [{"problem": row["question"], "options": row["options"], "answer": "A"} for row in rows[:4]]
    sources = [f"medqa={write(tmp_path / 'a.json', rows)}", f"mediq={write(tmp_path / 'b.json', problems)}"]
    prepare(sources, tmp_path / "out")
    assert entry(tmp_path / "out")["exact_duplicates"] == 0
    assert entry(tmp_path / "out", "mediq") == entry(tmp_path / "out", "mediq") | {"exact_duplicates": 4, "train": 0}


def test_the_same_inputs_and_seed_give_the_same_bytes(tmp_path):
    rows = records(20)
    source = [f"medqa={write(tmp_path / 'a.json', [*rows, rows[0] | {'question': rows[0]['question'] + ' x'}])}"]
    benchmark = [f"medqa={write(tmp_path / 'known.json', rows[:3])}"]
    for name in ("first", "second"):
        prepare(source, tmp_path / name, seed=5, benchmark=benchmark)
    for file in ("train.parquet", "test.parquet", "manifest.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_row_that_is_kept_counts_as_contaminated_once(tmp_path):
    rows = records(40)
    twins = [{**row, "question": row["question"] + " or else", "answer_idx": "B"} for row in rows]
    source = f"medqa={write(tmp_path / 'a.json', rows + twins)}"
    prepare([source], tmp_path / "out", benchmark=[source], test_share=0.5, keep_contaminated=True)
    counts = entry(tmp_path / "out")
    assert (counts["contaminated"], counts["train"] + counts["test"]) == (80, 80)


def test_the_manifest_says_what_was_read(tmp_path):
    prepare([f"medqa={write(tmp_path / 'a.json', records(5))}"], tmp_path / "out", duplicate_threshold=0.9)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["duplicate_threshold"] == 0.9 and manifest["keep_contaminated"] is False and manifest["version"]
    source = manifest["sources"]["medqa"]
    assert source["file"] == "a.json" and source["release"] == "official" and source["licence"].startswith("MIT")
    assert len(source["sha256"]) == 64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.parquet", r"none\.parquet can't be read"),
        ("medqa=none.json", r"none\.json can't be read"),
        ("a.json", r"--benchmark a\.json has not the columns of a prepared file; give one of medu1 prepare, or NAME="),
    ],
)
def test_a_benchmark_that_is_none_is_told_and_nothing_is_written(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.json", records(3))
    with pytest.raises(ValueError, match=message):
        prepare(["medqa=a.json"], tmp_path / "out", benchmark=[given])
    assert not (tmp_path / "out").exists()


def test_a_row_knows_nothing_of_its_id():
    assert verdict(free(CASE), replace(free(CASE), row_id="2", data_source="other")) == "exact"
