"""Decodes the bytes of an image, which may be hostile, to red, green and blue of 8 bits.

What the bytes are is read from the bytes; a suffix proves nothing. Size and format come from the header, before a pixel
is decoded. Nothing is ever fetched: formats that refer to other files, such as SVG, are not among those that are read.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from verl_medu1.data.images.dicom import decode_dicom, is_dicom
from verl_medu1.data.images.gray import shades
from verl_medu1.data.images.limits import MOST_PIXELS, check_bytes, check_size
from verl_medu1.data.images.words import FIRST_FRAME, TURNED, WINDOWED, ImageFault

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
# Numbers of TIFF's tags and EXIF's, and of their values.
_PHOTOMETRIC, _WHITE_IS_ZERO, _SAMPLE_FORMAT, _UNSIGNED, _ORIENTATION = 262, 0, 339, 1, 274
_TURNS = range(2, 9)
# Colours of 16 bits lose their lower 8. If nothing is brighter than this afterwards, those were where the picture is.
_DARK = 16


@dataclass(frozen=True)
class Decoded:
    """An image as it may be shown.

    Attributes:
        image: of mode RGB, upright.
        lossless: whether its format keeps every pixel.
        notes: what was done to it.
    """

    image: Image.Image
    lossless: bool
    notes: frozenset[str]


def decode(data: bytes) -> Decoded:
    """Decode an image: the first frame, upright, transparent areas on white, 16 bits windowed to 8.

    Args:
        data: a file of one of `FORMATS`, or of DICOM.

    Raises:
        ImageFault: the file is empty, too large, of another format or broken, or its sides are too different.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("CMYK", (6, 4)).save(file, "TIFF")
        >>> decode(file.getvalue()).image.getpixel((0, 0))
        (255, 255, 255)
    """
    with _faults(data):
        return _decode_dicom(data) if is_dicom(data) else _decode(data)


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of an image, from its header alone.

    Args:
        data: a file of one of `FORMATS`.

    Raises:
        ImageFault: as in `decode`.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("L", (6, 4)).save(file, "PNG")
        >>> size_of(file.getvalue())
        (6, 4)
    """
    with _faults(data), Image.open(io.BytesIO(data), formats=FORMATS) as file:
        check_size(*file.size)
        return file.size


@contextmanager
def _faults(data: bytes) -> Iterator[None]:
    check_bytes(len(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused here, and of what a hospital's files often have
            yield
    except ImageFault:
        raise
    except UnidentifiedImageError:
        raise ImageFault(f"it is none of {', '.join(FORMATS)} or DICOM") from None
    except Image.DecompressionBombError:
        raise ImageFault(f"it has more than {MOST_PIXELS // 10**6} million pixels") from None
    except Exception as error:  # broken bytes make decoders raise anything; in any case there is no image
        raise ImageFault("it is cut off or broken", detail=_words(error)) from None


def _decode_dicom(data: bytes) -> Decoded:
    image, notes = decode_dicom(data)
    return Decoded(image.convert("RGB"), True, frozenset(notes))


def _decode(data: bytes) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        check_size(*file.size)
        notes = {FIRST_FRAME} if getattr(file, "is_animated", False) else set()
        is_deep = any("16" in str(tile.args) for tile in file.tile)
        if file.getexif().get(_ORIENTATION) in _TURNS:
            notes.add(TURNED)
        tags = dict(getattr(file, "tag_v2", {}))
        file.load()
        upright = ImageOps.exif_transpose(file)
        if upright.mode.startswith(("I", "F")):
            notes.add(WINDOWED)
            return Decoded(_gray(upright, tags), True, frozenset(notes))
        image = _rgb(upright)
        if is_deep and np.asarray(image).max() < _DARK:
            raise ImageFault("its colours have 16 bits and use the lower ones alone; save it with 8")
        return Decoded(image, file.format not in ("JPEG", "MPO"), frozenset(notes))


def _gray(image: Image.Image, tags: dict[int, Any]) -> Image.Image:
    """Window gray of more than 8 bits; Pillow leaves to us what a TIFF's tags say of it."""
    values = np.asarray(image)
    if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)) == (_UNSIGNED,):
        values = values.view(np.uint32)
    shaded = shades(values)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        shaded = ImageOps.invert(shaded)
    return shaded.convert("RGB")


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
