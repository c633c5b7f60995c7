"""Reads the lines that are added to a file, such as a log or the metrics of a run."""

from pathlib import Path


class Tail:
    """Returns the complete lines that were added to a file since the last call; none while there is no such file.

    Args:
        path: the file.
        offset: bytes at its beginning that are not read.

    Example:
        >>> Tail(Path("no-such-file")).lines()
        []
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path, self._offset = path, offset

    def lines(self) -> list[str]:
        """Return what is new, up to the last line break."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode(errors="replace").splitlines()
