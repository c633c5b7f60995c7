"""What is wrong with an image, and what was done to it, in words."""

# What was done to an image and should be known.
FIRST_FRAME = "several frames, of which the first was taken"
TURNED = "turned as its EXIF data says"
WINDOWED = "more than 8 bits, windowed to 8"


class ImageFault(ValueError):
    """An image that can't be used.

    Attributes:
        reason: the reason in words that are the same for all such images, for counting.

    Example:
        >>> error = ImageFault("it is empty", "scan.png")
        >>> str(error), error.reason
        ('image scan.png: it is empty', 'image: it is empty')
    """

    def __init__(self, reason: str, name: str = "", detail: str = "") -> None:
        """Describe a fault.

        Args:
            reason: what is wrong.
            name: name of the image, for the message alone.
            detail: what a decoder says, for the message alone.
        """
        super().__init__(f"image{' ' if name else ''}{name}: {reason}{f' ({detail})' if detail else ''}")
        self.reason = f"image: {reason}"
        self._parts = (reason, detail)

    def of(self, name: str) -> "ImageFault":
        """Return the same fault with the name of its image."""
        reason, detail = self._parts
        return ImageFault(reason, name, detail)
