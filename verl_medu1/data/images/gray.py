"""Gray values of any depth in the 256 shades that a model sees."""

import numpy as np
from PIL import Image

from verl_medu1.data.images.words import ImageFault

# Percentiles that become black and white. Of the extremes themselves a single bright label would leave the rest dark.
_BLACK, _WHITE = 0.5, 99.5


def shades(
    values: np.ndarray, window: tuple[float, float] | None = None, counts: np.ndarray | None = None
) -> Image.Image:
    """Map gray values linearly to 0 (black) to 255 (white), and clip those outside of the window.

    Args:
        values: of shape (height, width), of any type of number.
        window: what becomes black and white; by default the 0.5th and 99.5th percentile.
        counts: which values these percentiles are of, of the same shape; all by default.

    Raises:
        ImageFault: a value is not finite.

    Example:
        >>> list(shades(np.array([[0, 1000, 4000]]), (0, 2000)).tobytes())
        [0, 127, 255]
    """
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ImageFault("it has values that are no numbers")
    measured = numbers if counts is None or not counts.any() else numbers[counts]
    low, high = window or (float(np.percentile(measured, _BLACK)), float(np.percentile(measured, _WHITE)))
    if high <= low:  # an even area, with or without a few other pixels
        low, high = float(measured.min()), float(measured.max())
    scaled = (numbers - low) / ((high - low) or 1.0)
    return Image.fromarray((scaled.clip(0, 1) * 255).astype(np.uint8))
