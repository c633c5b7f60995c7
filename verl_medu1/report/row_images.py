"""The images of the questions that a report shows, small and inline, from the files of the run's questions."""

import io
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from verl_medu1.data.images.shown import data_url
from verl_medu1.data.schema import IMAGES

# Pixels of the longer side of a shown image.
LONGEST = 280
_AT_ONCE = 256


class RowImage(NamedTuple):
    """An image for the page: a URL that contains it, "" if it can't be shown, and its size."""

    uri: str
    width: int
    height: int


def row_images(files: Sequence[str], wanted: Collection[str]) -> dict[str, list[RowImage]]:
    """Return the images of rows by their row_id; rows without images, or whose file is gone, are left out.

    Args:
        files: prepared parquet files.
        wanted: row_ids; others are not decoded.
    """
    found: dict[str, list[RowImage]] = {}
    for name in files:
        with suppress(OSError, pa.ArrowInvalid), pq.ParquetFile(Path(name).expanduser()) as file:
            if IMAGES not in file.schema_arrow.names:
                continue
            for batch in file.iter_batches(_AT_ONCE, columns=["extra_info", IMAGES]):
                ids = [info["row_id"] for info in batch["extra_info"].to_pylist()]
                for place in [place for place, row_id in enumerate(ids) if row_id in wanted]:
                    found.setdefault(ids[place], [small(data) for data in _encoded(batch[IMAGES][place].as_py())])
    return {row_id: images for row_id, images in found.items() if images}


def _encoded(images: list[dict[str, bytes | None] | None] | None) -> list[bytes]:
    return [(image or {}).get("bytes") or b"" for image in images or ()]


def small(image: bytes) -> RowImage:
    """Return an encoded image as PNG of at most `LONGEST` pixels a side; tiny ones are enlarged by whole factors."""
    from verl_medu1.data.images.decode import decode
    from verl_medu1.data.images.words import ImageFault

    try:
        shown = decode(image).image
    except ImageFault:  # the file is of another program
        return RowImage("", 0, 0)
    shown.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    shown.save(file, "PNG")
    factor = max(1, LONGEST // (2 * max(shown.size)))
    return RowImage(data_url(file.getvalue()), factor * shown.width, factor * shown.height)
