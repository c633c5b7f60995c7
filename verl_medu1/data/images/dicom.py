"""Reads images of DICOM files with pydicom: stored values, rescaled, windowed, and dark where MONOCHROME1 is bright."""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from verl_medu1.data.images.gray import shades
from verl_medu1.data.images.limits import check_size
from verl_medu1.data.images.words import FIRST_FRAME, WINDOWED, ImageFault

if TYPE_CHECKING:
    from pydicom import Dataset

_PREAMBLE = 128
# Its content is compressed as a whole, so its size can't be known before it is unpacked.
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def is_dicom(data: bytes) -> bool:
    """Return whether bytes are a DICOM file."""
    return data[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def decode_dicom(data: bytes) -> tuple[Image.Image, set[str]]:
    """Decode the first frame of a DICOM file.

    Gray values are rescaled (slope and intercept, or the modality's table), and windowed by the file's first window, or
    by percentiles if it has none (`gray.shades`). No element of the file but these gets into the image. What is
    written into the pixels, such as a name, stays there.

    Args:
        data: the file.

    Returns:
        The image, of mode L or RGB, and what was done to it.

    Raises:
        ImageFault: pydicom is missing, the file is broken or has no image, or it is packed in a way that can't be read.
    """
    try:
        import pydicom
    except ImportError:
        raise ImageFault("it is DICOM, which pydicom reads; pip install verl-medu1[dicom]") from None
    if _DEFLATED in data:  # wherever: elements of any length may stand before it
        raise ImageFault("it is deflated DICOM, whose size can't be checked; store it in another transfer syntax")
    try:
        file = pydicom.dcmread(io.BytesIO(data))
        if "PixelData" not in file:
            raise ImageFault("it is DICOM without an image")
        check_size(int(file.Columns), int(file.Rows))
        notes = {FIRST_FRAME} if int(file.get("NumberOfFrames") or 1) > 1 else set()
        image, is_gray = _first_frame(file)
        return image, notes | ({WINDOWED} if is_gray else set())
    except ImageFault:
        raise
    except Exception as error:  # broken bytes make pydicom and its decoders raise anything; there is no image
        # Other messages of pydicom may repeat what an element holds, which may be a patient's.
        is_decoder = isinstance(error, RuntimeError | NotImplementedError)
        reason = " ".join(str(error).split())[:120] if is_decoder else type(error).__name__
        raise ImageFault("it is DICOM that is broken or packed in an unknown way", detail=reason) from None


def _first_frame(file: "Dataset") -> tuple[Image.Image, bool]:
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

    values = pixel_array(file, index=0)  # colours become RGB
    kind = str(file.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, file)
        # Some tables of 16 bits hold values of 8 (DICOM PS3.3, C.7.6.3.1.6).
        depth = 8 if int(values.max()) < 256 else values.dtype.itemsize * 8
    else:
        depth = int(file.BitsStored)
    if values.ndim == 3:
        return Image.fromarray((values >> max(depth - 8, 0)).astype(np.uint8)[..., :3]), False
    padding = file.get("PixelPaddingValue")
    counts = values != padding if padding is not None else None
    image = shades(apply_modality_lut(values, file), _window(file), counts)
    if kind == "MONOCHROME1":
        image = ImageOps.invert(image)
    if counts is not None:
        image.paste(0, mask=Image.fromarray(~counts))
    return image, True


def _window(file: "Dataset") -> tuple[float, float] | None:
    """Return the values that the file's first window shows as black and white; None without one.

    For a centre c and a width w these are c - 0.5 ∓ (w - 1) / 2 (DICOM PS3.3, C.11.2.1.2.1).
    """
    found = [file.get(name) for name in ("WindowCenter", "WindowWidth")]
    if any(value is None or value == "" for value in found):
        return None
    centre, width = (float(value[0]) if hasattr(value, "__iter__") else float(value) for value in found)
    if not width > 1:
        return None
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
