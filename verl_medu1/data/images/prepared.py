"""The images of a prepared row, which another program may have written or changed."""

from collections.abc import Mapping
from typing import Any

from verl_medu1.data.images.decode import decode, size_of
from verl_medu1.data.images.placeholders import placeholder_fault
from verl_medu1.data.images.words import ImageFault
from verl_medu1.data.schema import IMAGES


def prepared_images(row: Mapping[str, Any], whole: bool = False) -> list[bytes]:
    """Return the images of a prepared row.

    Args:
        row: with `prompt`, and `images` if it has any.
        whole: decode each image; otherwise only its header is read, which is enough for its size.

    Raises:
        ValueError: an image has no bytes or can't be used, or the messages don't have a placeholder for each.

    Example:
        >>> prepared_images({"prompt": [{"role": "user", "content": "Why?"}], "images": None})
        []
    """
    images: list[bytes] = []
    for image in row.get(IMAGES) or ():
        data = image.get("bytes") if isinstance(image, Mapping) else image
        if not isinstance(data, bytes):
            raise ImageFault("it has no bytes")
        if whole:
            decode(data)
        else:
            size_of(data)
        images.append(data)
    if fault := placeholder_fault((str(message["content"]) for message in row.get("prompt") or ()), len(images)):
        raise ValueError(fault)
    return images
