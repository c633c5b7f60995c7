"""The images of questions in a report: small, inline, of the rows that are shown, and never the end of the report."""

import base64
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from verl_medu1.report.row_images import LONGEST, RowImage, row_images, small


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def write(file: Path, images: dict[str, list[bytes]]) -> str:
    rows = [{"extra_info": {"row_id": row}, "images": [{"bytes": one} for one in of]} for row, of in images.items()]
    schema = pa.schema(
        [
            ("extra_info", pa.struct([("row_id", pa.string())])),
            ("images", pa.list_(pa.struct([("bytes", pa.binary())]))),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    return str(file)


def test_large_images_are_reduced_and_tiny_ones_enlarged() -> None:
    large = small(png(2000, 500))
    assert (large.width, large.height) == (LONGEST, LONGEST // 4)
    inline = Image.open(io.BytesIO(base64.b64decode(large.uri.removeprefix("data:image/png;base64,"))))
    assert inline.size == (LONGEST, LONGEST // 4)
    assert small(png(56, 56))[1:] == (112, 112)


def test_only_what_is_shown_is_read(tmp_path: Path) -> None:
    broken = png(9, 9)[:30]
    file = write(tmp_path / "rows.parquet", {"a": [png(9, 9), broken], "b": [b"not decoded"], "c": []})
    found = row_images([file, str(tmp_path / "gone.parquet")], {"a", "c", "d"})
    assert list(found) == ["a"]
    whole, unreadable = found["a"]
    assert whole.uri.startswith("data:image/png;base64,") and unreadable == RowImage("", 0, 0)


def test_rows_of_another_program_may_have_none(tmp_path: Path) -> None:
    table = pa.table({"extra_info": [{"row_id": "a"}, {"row_id": "b"}], "images": [None, [{"bytes": None}]]})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert row_images([str(tmp_path / "rows.parquet")], {"a", "b"}) == {"b": [RowImage("", 0, 0)]}


def test_files_without_images_have_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"extra_info": [{"row_id": "a"}]}), tmp_path / "rows.parquet")
    (tmp_path / "other.parquet").write_text("not parquet")
    assert row_images([str(tmp_path / "rows.parquet"), str(tmp_path / "other.parquet")], {"a"}) == {}
