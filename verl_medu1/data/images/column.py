"""The images of a source's records: found, decoded, encoded, and counted."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from verl_medu1.data.images.decode import decode
from verl_medu1.data.images.encode import LEAST_SIDE, MOST_SIDE, SIDE, encode
from verl_medu1.data.images.files import read_image
from verl_medu1.data.images.words import ImageFault

# More would not fit into a prompt: MedXpertQA has at most six.
MOST_IMAGES = 8


@dataclass(frozen=True)
class ImageColumns:
    """Where the images of a source's records are.

    Attributes:
        columns: the columns that may hold them; a record's first that is not empty counts.
        folders: where image files are published, relative to the folder of the source's file.
        needed: whether a record without an image can't be used.
        below: where the publication has the source's file, if the names of images begin at the publication's folder.
    """

    columns: tuple[str, ...]
    folders: tuple[str, ...] = (".",)
    needed: bool = True
    below: str = ""

    def beside(self, file: Path) -> list[Path]:
        """Return the folders of image files that belong to a source's file."""
        folder = file.parent
        found = [folder / name for name in self.folders]
        if self.below and folder.resolve().match(f"*/{self.below}"):
            found.insert(0, folder.resolve().parents[len(PurePosixPath(self.below).parts) - 1])
        return found

    def within(self, folder: Path) -> list[Path]:
        """Return the folders of image files in the one that a user gives, none of which is outside of it."""
        return [folder / name for name in self.folders if ".." not in PurePosixPath(name).parts]


@dataclass(frozen=True)
class ImageSettings:
    """What a user says about images.

    Attributes:
        folders: name of a source -> folder of its images, instead of the one beside its file.
        side: largest number of pixels of an image's longer side.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    side: int = SIDE

    def check(self, sources: Collection[str]) -> None:
        """Check the settings before anything is read.

        Args:
            sources: names of the sources that are read.

        Raises:
            ValueError: the side is out of range, or a folder is missing or of a source that is not read.
        """
        if not LEAST_SIDE <= self.side <= MOST_SIDE:
            raise ValueError(f"--image-side is {self.side}; it must be from {LEAST_SIDE} to {MOST_SIDE} pixels.")
        for name, folder in self.folders.items():
            if name not in sources:
                raise ValueError(f"--images names {name}, which no --source or --benchmark reads.")
            if not folder.is_dir():
                raise ValueError(f"--images {name}={folder} is no folder; give the one with the image files.")


NO_SETTINGS = ImageSettings()


class ImageReader:
    """Reads the images of a source's records. The same image is decoded once, however many questions it has.

    Args:
        columns: where they are.
        folders: folders of image files.
        side: largest number of pixels of an image's longer side.
    """

    def __init__(self, columns: ImageColumns, folders: Sequence[Path], side: int) -> None:
        self._columns, self._folders, self._side = columns, folders, side
        self._encoded: dict[bytes, bytes | ImageFault] = {}
        self._notes: Counter[str] = Counter()
        self._without = 0

    def read(self, record: Mapping[str, Any]) -> tuple[bytes, ...]:
        """Return a record's images as they are written.

        Raises:
            ImageFault: an image is missing, can't be found or used, or there are too many.
        """
        given = [found for name in self._columns.columns if (found := list(_listed(record.get(name))))]
        if len(given) > 1 and not self._columns.needed:
            raise ImageFault(f"it is in {' and in '.join(self._columns.columns)}; one of them must be empty")
        values = given[0] if given else []
        if not values and self._columns.needed:
            raise ImageFault("it is missing")
        self._without += not values
        if len(values) > MOST_IMAGES:
            raise ImageFault(f"there are more than {MOST_IMAGES} of them")
        return tuple(self._image(value) for value in values)

    def summary(self) -> dict[str, Any]:
        """Return number and SHA-256 of the different images, what was done to them, and how many records have none."""
        usable = sorted(digest for digest, found in self._encoded.items() if isinstance(found, bytes))
        digest = hashlib.sha256(b"".join(usable)).hexdigest()
        notes = dict(sorted(self._notes.items()))
        return {"read": len(usable), "sha256": digest, "side": self._side, "notes": notes, "without": self._without}

    def _image(self, value: Any) -> bytes:
        name, data = self._name_and_bytes(value)
        digest = hashlib.sha256(data).digest()
        if digest not in self._encoded:
            self._encoded[digest] = self._encode(data)
        found = self._encoded[digest]
        if isinstance(found, ImageFault):
            raise found.of(name)
        return found

    def _encode(self, data: bytes) -> bytes | ImageFault:
        try:
            decoded = decode(data)
        except ImageFault as fault:
            return fault
        self._notes.update(decoded.notes)
        return encode(decoded, self._side)

    def _name_and_bytes(self, value: Any) -> tuple[str, bytes]:
        """Return name and bytes of an image: a path, bytes, or the hub's mapping of both."""
        if isinstance(value, bytes):
            return "", value
        name = value.get("path") if isinstance(value, Mapping) else value
        data = value.get("bytes") if isinstance(value, Mapping) else None
        if isinstance(data, bytes):
            return name if isinstance(name, str) else "", data
        if not isinstance(name, str) or not name.strip():
            raise ImageFault("it is neither a path nor bytes")
        return name, read_image(name.strip(), self._folders)


def _listed(value: Any) -> Iterator[Any]:
    """Yield the images of a field: one, a list of them, or paths with bars between them."""
    if isinstance(value, str):
        yield from (part for part in value.split("|") if part.strip())
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _listed(item) if isinstance(item, str) else [item]
    elif value is not None and not (isinstance(value, float) and value != value):
        yield value
