"""Reading files of records: the formats, the places that messages name, and files that are broken."""

import csv
import io
import json
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from verl_medu1.data.records import KEY, read_hub, read_records

ROWS = [{"question": "Which, of\nthese?", "answer": "β-blocker"}, {"question": "Why \u2028?", "answer": '"'}]


def as_csv(rows: list[dict], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("a.json", json.dumps(ROWS), ["record 0", "record 1"]),
        ("a.json", "\ufeff" + json.dumps(ROWS), ["record 0", "record 1"]),
        ("a.json", as_lines(ROWS), ["line 1", "line 2"]),
        ("a.jsonl", as_lines(ROWS), ["line 1", "line 2"]),
        ("a.JSONL", "\n" + as_lines(ROWS), ["line 2", "line 3"]),
        ("a.csv", as_csv(ROWS), ["line 2", "line 4"]),
        ("a.csv", "\ufeff" + as_csv(ROWS), ["line 2", "line 4"]),
        ("a.csv", as_csv(ROWS, ";"), ["line 2", "line 4"]),
        ("a.csv", as_csv(ROWS, "\t"), ["line 2", "line 4"]),
        ("a.tsv", as_csv(ROWS, "\t"), ["line 2", "line 4"]),
        ("a.csv", "\ufeffsep=;\r\n" + as_csv(ROWS, ";"), ["line 3", "line 5"]),
        ("a.csv", "sep=|\n" + as_csv(ROWS, "|"), ["line 3", "line 5"]),
        ("a.csv", as_csv(ROWS, ";") + ";\n\n;;;\n", ["line 2", "line 4"]),
    ],
)
def test_each_text_format_gives_the_same_records(tmp_path, name, text, places):
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_records(path) == list(zip(places, ROWS, strict=True))


def test_a_mapping_from_names_to_records_keeps_the_names(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"12": {"q": "x"}, "7": {"q": "y"}}, indent=1))
    assert read_records(tmp_path / "a.json") == [
        ("record 0", {KEY: "12", "q": "x"}),
        ("record 1", {KEY: "7", "q": "y"}),
    ]


def test_parquet_gives_the_same_records(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert read_records(path) == [("row 0", ROWS[0]), ("row 1", ROWS[1])]


@settings(max_examples=50)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"q": st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), "a": st.just("x")}
        ),
        min_size=1,
    )
)
def test_any_text_survives_lines_and_csv(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    for name, text in (("a.jsonl", as_lines(rows)), ("a.csv", as_csv(rows))):
        (folder / name).write_bytes(text.encode())
        assert [record for _, record in read_records(folder / name)] == rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"a\.txt ends in '\.txt'; give a file that ends in \.json, \.jsonl, \.csv, \.tsv, \.parquet\."),
        ("a.json", b'[{"question": "Wh', r"a\.json is cut off or no JSON \(.*line 1, column 15\)"),
        ("a.json", b'{"question": "Which?"}', r"a\.json is neither a list of records"),
        ("a.json", b'{"data": [{"question": "Which?"}]}', r"neither a list of records nor a mapping from names"),
        ("a.json", b"[" * 200_000, r"a\.json is nested too deeply"),
        (
            "a.jsonl",
            b'{"q": ' + b"1" * 5000 + b"}",
            r"a\.jsonl, line 1 is nested too deeply or has a number of thousand",
        ),
        ("a.json", b'[{"question": "Which?"}, "x"]', r"a\.json, record 1: it is a str; a record maps"),
        ("a.json", b'[{"question":\n"caf\xe9"}]', r"a\.json, line 2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a.jsonl", b'{"q": "x"}\n{"q": "y', r"a\.jsonl, line 2 is cut off or no JSON \(.*column 7\)"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl, line 1: it is a list"),
        ("a.csv", b'q,a\n"one",1\n"two', r"a\.csv, line 3: it is cut off or no CSV"),
        ("a.csv", b'q,a\n"one\ntwo",1\ntwo\n', r"a\.csv, line 4: it has 1 fields and the header 2"),
        (
            "a.csv",
            b"q,a\none,1\ntwo,2,3\n",
            r"a\.csv, line 3: it has 3 fields and the header 2 \(separated by commas\)",
        ),
        ("a.csv", b"q;a\none;1\ntwo;2;3\n", r"a\.csv, line 3: it has 3 fields .* \(separated by semicolons\)"),
        ("a.csv", b"q:a\none,two:1\n", r"a\.csv, line 2: it has 2 fields and the header 1 \(separated by commas\)"),
        ("a.csv", b"q,q\none,two\n", r"a\.csv, line 1: two columns have the same name"),
        ("a.csv", b"q,a\nM\xe9ni\xe8re,1\n", r"a\.csv, line 2: byte 0xe9"),
        ("a.parquet", b"PAR1 and no more", r"a\.parquet is cut off or no parquet file"),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_records(tmp_path / name)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "none.parquet", tmp_path / "folder.csv"):
        with pytest.raises(ValueError, match=r"can't be read \("):
            read_records(path)


def test_the_hub_is_read_by_the_datasets_package(monkeypatch):
    import datasets

    asked = []

    def load_dataset(*arguments, **named):
        asked.append((arguments, named))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read_hub("someone/set", "en", "train") == [("row 0", ROWS[0]), ("row 1", ROWS[1])]
    assert asked == [(("someone/set", "en"), {"split": "train"})]


def test_no_network_is_one_sentence(monkeypatch):
    import datasets

    def load_dataset(*arguments, **named):
        raise ConnectionError("Couldn't reach the Hub\nat all")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ValueError, match=r"someone/set \(split test\) can't be loaded .* go online, or") as error:
        read_hub("someone/set", None, "test")
    assert "\n" not in str(error.value)


def test_paths_are_taken_as_they_are(tmp_path):
    path = tmp_path / "with space é.jsonl"
    path.write_text(as_lines(ROWS), encoding="utf-8")
    assert len(read_records(Path(str(path)))) == 2
