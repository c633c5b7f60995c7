"""How large an image may be, asked before it is decoded."""

from verl_medu1.data.images.words import ImageFault

MOST_BYTES = 64 * 2**20
# A radiograph of a large detector has about 20 million.
MOST_PIXELS = 50_000_000
# The processors of Qwen's models refuse 200.
MOST_ASPECT = 100


def check_bytes(number: int) -> None:
    """Refuse a file that is empty or too large.

    Raises:
        ImageFault: it has no bytes, or more than `MOST_BYTES`.
    """
    if not number:
        raise ImageFault("it is empty")
    if number > MOST_BYTES:
        raise ImageFault(f"it has more than {MOST_BYTES // 2**20} MiB")


def check_size(width: int, height: int) -> None:
    """Refuse an image with too many pixels, or with sides that are too different.

    Raises:
        ImageFault: it has no pixels, more than `MOST_PIXELS`, or a side more than `MOST_ASPECT` times the other.
    """
    if min(width, height) < 1:
        raise ImageFault("it has no pixels")
    if width * height > MOST_PIXELS:
        raise ImageFault(f"it has more than {MOST_PIXELS // 10**6} million pixels")
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise ImageFault(f"one side is more than {MOST_ASPECT} times the other")
