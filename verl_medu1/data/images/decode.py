"""Decodes the bytes of an image, which may be hostile, to red, green and blue of 8 bits.

What the bytes are is read from the bytes; a suffix proves nothing. Size and format come from the header, before a pixel
is decoded. Nothing is ever fetched: formats that refer to other files, such as SVG, are not among those that are read.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from verl_medu1.data.images.dicom import decode_dicom, is_dicom
from verl_medu1.data.images.gray import shades
from verl_medu1.data.images.limits import MOST_PIXELS, check_bytes, check_size
from verl_medu1.data.images.words import FIRST_FRAME, TURNED, WINDOWED, ImageFault

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")


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
    check_bytes(len(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused here, and of what a hospital's files often have
            return _decode_dicom(data) if is_dicom(data) else _decode(data)
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
        file.load()
        upright = ImageOps.exif_transpose(file)
        if file.getexif().get(0x0112, 1) != 1:
            notes.add(TURNED)
        if upright.mode.startswith(("I", "F")):
            notes.add(WINDOWED)
        return Decoded(_rgb(upright), file.format not in ("JPEG", "MPO"), frozenset(notes))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return shades(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
