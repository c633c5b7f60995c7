"""Encodes an image for a row: small enough for a processor, and with nothing in the file but pixels."""

import io

from PIL import Image

from verl_medu1.data.images.decode import Decoded

# Pixels of the longer side. With Qwen2.5-VL's patches of 28 × 28 a square image is then 24 × 24 = 576 tokens.
SIDE = 672
LEAST_SIDE, MOST_SIDE = 28, 4096
_QUALITY = 95


def encode(decoded: Decoded, side: int = SIDE) -> bytes:
    """Encode an image as PNG, or as JPEG (quality 95) if it came as JPEG; a larger one is scaled down.

    Args:
        decoded: the image.
        side: largest number of pixels of its longer side.

    Example:
        >>> data = encode(Decoded(Image.new("RGB", (100, 50)), True, frozenset()), side=60)
        >>> Image.open(io.BytesIO(data)).size
        (60, 30)
    """
    pixels = decoded.image.copy()
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
    pixels.info.clear()  # Pillow would write comments and colour profiles again
    file = io.BytesIO()
    if decoded.lossless:
        pixels.save(file, "PNG")
    else:
        pixels.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()
