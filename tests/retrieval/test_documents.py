"""Corpora as they are published, and rows that are no documents."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.retrieval.documents import BrokenRow, Document, Rows, check_files, read_corpus, read_document

MEDRAG = {"id": "Anatomy_Gray_0", "title": "Anatomy_Gray", "content": "What is it?", "contents": "Anatomy_Gray. What"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (MEDRAG, Document("Anatomy_Gray_0", "Anatomy_Gray", "What is it?")),
        ({**MEDRAG, "PMID": 21}, Document("Anatomy_Gray_0", "Anatomy_Gray", "What is it?")),
        ({"id": "0", "contents": '"Aaron"\nA prophet.\nA brother.'}, Document("0", "Aaron", "A prophet.\nA brother.")),
        ({"id": "0", "contents": '"Say "a""\nText.'}, Document("0", 'Say "a"', "Text.")),
        ({"id": "0", "contents": "Evan Morris\nA lobbyist."}, Document("0", "", "Evan Morris\nA lobbyist.")),
        ({"id": "0", "contents": '"Only this."'}, Document("0", "", '"Only this."')),
        ({"_id": "b", "title": "T", "text": "X", "metadata": {}}, Document("b", "T", "X")),
        ({"_id": "b", "title": "T", "text": ""}, Document("b", "T", "")),
        ({"id": 0, "title": None, "text": "X"}, Document("0", "", "X")),
        ({"title": "T", "text": "X", "contents": '"T"\nX'}, Document("17", "T", "X")),
        ({"id": None, "text": "X"}, Document("17", "", "X")),
    ],
)
def test_columns_as_published(record, expected):
    assert read_document(record, 17) == expected


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"id": "a"}, "no text"),
        ({"id": "a", "text": " \n", "title": ""}, "no text"),
        ({"id": "a", "text": ["x"]}, "title or text is no string"),
        ({"id": "a", "text": "x", "title": 3}, "title or text is no string"),
        ({"id": 1.5, "text": "x"}, "the id is neither text nor a whole number"),
        ({"id": True, "text": "x"}, "the id is neither text nor a whole number"),
        ({"id": "", "text": "x"}, "the id is neither text nor a whole number"),
        ({"id": "a", "text": "\ud800"}, "half of a surrogate pair"),
        (["x"], "no record"),
        (None, "no record"),
    ],
)
def test_rows_that_are_no_documents(record, reason):
    with pytest.raises(BrokenRow, match=reason):
        read_document(record, 17)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "text", "title"]), inner),
)


@given(st.dictionaries(st.sampled_from(["id", "_id", "title", "text", "content", "contents"]), JSON) | JSON)
def test_any_record_is_a_document_or_broken(record):
    try:
        document = read_document(record, 17)
    except BrokenRow:
        return
    assert document.id and (document.title + document.text).strip()
    assert all(isinstance(value, str) for value in (document.id, document.title, document.text))


def write(path: Path, records: list[dict[str, str]]) -> Path:
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "c.jsonl.gz", "c.parquet", "C.JSONL"])
def test_each_format_gives_the_same_documents(tmp_path, name):
    path = write(tmp_path / name, [{"id": f"d{n}", "title": "T", "text": f"Text\u2028{n}."} for n in range(2500)])
    check_files([path])
    rows = Rows()
    found = list(read_corpus([path], rows))
    assert found == [Document(f"d{n}", "T", f"Text\u2028{n}.") for n in range(2500)]
    assert (rows.number, rows.broken.total()) == (2500, 0)


def test_broken_rows_are_counted_with_their_first_place(tmp_path):
    good = "".join(f'{{"text": "t{n}"}}\n' for n in range(1000)).encode()
    bad = b'{"text": \n\xff\xfe\n' + b"[" * 100_000 + b'\n{"id": "3", "text": "again"}\r\n\r\n{"id": 1}\n'
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + good + bad)
    rows = Rows()
    assert len(list(read_corpus([path], rows))) == 1000
    assert rows.broken == {"no JSON": 3, "duplicate id": 1, "no text": 1}
    assert rows.first["no JSON"] == "c.jsonl, line 1001" and rows.first["no text"] == "c.jsonl, line 1006"
    rows.check()


def test_rows_without_an_id_are_numbered_through_all_files(tmp_path):
    files = [write(tmp_path / f"{name}.jsonl", [{"text": "x"}, {"text": "y"}]) for name in "ab"]
    assert [document.id for document in read_corpus(files, Rows())] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("broken", "is_refused"), [(1, False), (2, True)])
def test_more_than_one_percent_of_broken_rows_is_refused(tmp_path, broken, is_refused):
    path = write(tmp_path / "c.jsonl", [{"text": "x"}] * (100 - broken) + [{"other": "secret"}] * broken)
    rows = Rows()
    list(read_corpus([path], rows))
    if not is_refused:
        rows.check()
        return
    with pytest.raises(
        ValueError, match=r"2 of 100 rows are no documents \(2: no text, first in c.jsonl, line 99\)"
    ) as e:
        rows.check()
    assert "secret" not in str(e.value)


def test_a_corpus_without_rows_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        Rows().check()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b' [{"text": "x"}]', "is a JSON list"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 1000, mtime=0)[:-20], "cut off"),
        ("a.jsonl.gz", b'{"text": "x"}', "not packed by gzip"),
        ("a.parquet", b"PAR1", "no parquet file"),
        ("a.parquet", b"", "no parquet file"),
    ],
)
def test_files_of_another_form(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_corpus([tmp_path / name], Rows()))


def test_a_parquet_file_without_a_text(tmp_path):
    pq.write_table(pa.table({"question": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="has the columns question; a text is in one of text, content, contents"):
        list(read_corpus([tmp_path / "a.parquet"], Rows()))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"is none of \.jsonl"):
        check_files([tmp_path / "corpus.csv"])
    with pytest.raises(ValueError, match="No such file"):
        check_files([tmp_path / "corpus.jsonl"])
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ValueError, match="Is a directory"):
        check_files([tmp_path / "folder.jsonl"])
