"""Writing a data set: all files or none."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verl_medu1.data.storage import write_data_set

SCHEMA = pa.schema([("x", pa.int64())])


def test_files_and_manifest_fit_together(tmp_path):
    write_data_set(tmp_path / "new", {"a.parquet": (SCHEMA, [{"x": 1}, {"x": 2}])}, {"seed": 5})
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.parquet", "manifest.json"]
    manifest = json.loads((tmp_path / "new" / "manifest.json").read_text())
    digest = hashlib.sha256((tmp_path / "new" / "a.parquet").read_bytes()).hexdigest()
    assert manifest == {"seed": 5, "files": {"a.parquet": {"rows": 2, "sha256": digest}}}
    assert pq.read_table(tmp_path / "new" / "a.parquet").to_pylist() == [{"x": 1}, {"x": 2}]


def test_a_row_that_does_not_fit_leaves_the_old_files(tmp_path):
    write_data_set(tmp_path, {"a.parquet": (SCHEMA, [{"x": 1}])}, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    tables = {"a.parquet": (SCHEMA, [{"x": 2}]), "b.parquet": (SCHEMA, [{"x": "no number"}])}
    with pytest.raises(pa.ArrowInvalid):
        write_data_set(tmp_path, tables, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--out .*file/out can't be written"):
        write_data_set(tmp_path / "file" / "out", {}, {})
