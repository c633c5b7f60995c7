"""Where the images of a question stand in its text.

verl replaces each `<image>` in a message by the next image of the row, and a processor replaces tokens of its own, such
as `<|image_pad|>`, by patches. A text that brings such marks would shift the images or end a step, so it is refused.
"""

import re
from collections.abc import Iterable

PLACEHOLDER = "<image>"
# verl has <image>, <video> and <audio>; processors have <|image_pad|>, <|vision_start|>, <start_of_image>.
_MARK = re.compile(r"<\|?\w*(?:image|video|audio|vision)\w*\|?>")


def with_placeholders(question: str, images: int) -> str:
    """Return a question with one placeholder per image: in front, unless it has placeholders of its own.

    Example:
        >>> with_placeholders("Which side?", 1), with_placeholders("Is <image> later than <image>?", 2)
        ('<image>Which side?', 'Is <image> later than <image>?')
    """
    return question if PLACEHOLDER in question else PLACEHOLDER * images + question


def without_placeholders(text: str) -> str:
    """Return a text without placeholders of images.

    Example:
        >>> without_placeholders("<image>Which side?")
        'Which side?'
    """
    return text.replace(PLACEHOLDER, "")


def placeholder_fault(texts: Iterable[str], images: int) -> str:
    """Say in words why texts can't be shown with a number of images; "" if they can.

    Args:
        texts: all texts that get to the model, such as the contents of a row's messages.
        images: number of the row's images.

    Example:
        >>> placeholder_fault(["<image>Which side?"], 1), placeholder_fault(["Which side?<image>"], 0)
        ('', 'its text has 1 <image>, and it has 0 images')
        >>> placeholder_fault(["Which <|image_pad|>?"], 0)
        'its text has <|image_pad|>, which stands for a picture in some models'
    """
    marks = [mark for text in texts for mark in _MARK.findall(text)]
    if others := [mark for mark in marks if mark != PLACEHOLDER]:
        return f"its text has {others[0]}, which stands for a picture in some models"
    return "" if len(marks) == images else f"its text has {len(marks)} {PLACEHOLDER}, and it has {images} images"
