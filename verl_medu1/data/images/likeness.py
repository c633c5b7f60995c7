"""Images that look the same: perceptual hashes, and a search for those that differ in few bits.

The hash is that of the discrete cosine transform (Zauner 2010, "Implementation and benchmarking of perceptual image
hash functions"): the image in gray, 64 × 64, and for each of its 16 × 16 lowest frequencies whether its coefficient is
above their median. It stays nearly the same when an image is encoded again or scaled. It does not when an image is
mirrored, turned, cropped or made much brighter: such copies are not found.
"""

import io
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.fft import dctn

from verl_medu1.data.images.decode import FORMATS

_SIDE, _LOW = 64, 16
BITS = _LOW * _LOW
# Of the bits of two images that look the same, at most this many differ (benchmarks/image_likeness.py).
MOST_DIFFERENT = 10


def perceptual_hash(image: bytes) -> int:
    """Return the perceptual hash of an encoded image, a number of 256 bits.

    Args:
        image: PNG or JPEG, as `encode` writes it.

    Example:
        >>> file = io.BytesIO()
        >>> Image.linear_gradient("L").save(file, "PNG")
        >>> perceptual_hash(file.getvalue()).bit_length() <= BITS
        True
    """
    with Image.open(io.BytesIO(image), formats=FORMATS) as file:
        small = file.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(small, dtype=np.float64), norm="ortho")[:_LOW, :_LOW].round(6)
    low[0, 0] = 0  # the mean, which brightness changes alone
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes())


class LikenessIndex:
    """Finds the images that look like one, exactly and in about constant time.

    If at most `MOST_DIFFERENT` bits differ, at least one of `MOST_DIFFERENT` + 1 bands of bits is the same.

    Args:
        pictures: hashes of the images of each row.
    """

    def __init__(self, pictures: Sequence[Sequence[int]]) -> None:
        self._rows: dict[int, list[int]] = defaultdict(list)
        for place, hashes in enumerate(pictures):
            for value in set(hashes):
                self._rows[value].append(place)
        self._bands: dict[tuple[int, str], list[int]] = defaultdict(list)
        for value in self._rows:
            for band in _bands(value):
                self._bands[band].append(value)

    def rows_like(self, hashes: Sequence[int]) -> list[int]:
        """Return the places, in order, of the rows with an image that looks like one of these.

        Example:
            >>> LikenessIndex([[0b1011], [2**200 - 1], []]).rows_like([0b1010])
            [0]
        """
        near = {
            other
            for value in hashes
            for band in _bands(value)
            for other in self._bands.get(band, ())
            if looks_like(value, other)
        }
        return sorted({place for value in near for place in self._rows[value]})


def looks_like(first: int, second: int) -> bool:
    """Return whether at most `MOST_DIFFERENT` bits of two hashes differ."""
    return (first ^ second).bit_count() <= MOST_DIFFERENT


def _bands(value: int) -> list[tuple[int, str]]:
    """Return bands of every eleventh bit: neighbouring bits would be the same in most images of one kind."""
    bits = f"{value:0{BITS}b}"
    return [(start, bits[start :: MOST_DIFFERENT + 1]) for start in range(MOST_DIFFERENT + 1)]
