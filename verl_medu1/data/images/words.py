"""What is wrong with an image, and what was done to it, in words."""

# What was done to an image and should be known.
FIRST_FRAME = "several frames, of which the first was taken"
TURNED = "turned as its EXIF data says"
WINDOWED = "gray of many bits, or of DICOM, windowed to 8 bits"
# Characters of an image's name that are shown.
_SHOWN = 80


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
        super().__init__(f"image{' ' if name else ''}{_shown(name)}: {reason}{f' ({detail})' if detail else ''}")
        self.reason = f"image: {reason}"
        self._parts = (reason, detail)

    def of(self, name: str) -> "ImageFault":
        """Return the same fault with the name of its image."""
        reason, detail = self._parts
        return ImageFault(reason, name, detail)


def _shown(name: str) -> str:
    """Return a name as a message may show it: on one line, and never an image that is written into it."""
    short = "data:..." if name.startswith("data:") else name
    if len(short) > _SHOWN:
        short = f"{short[:_SHOWN]}..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)
