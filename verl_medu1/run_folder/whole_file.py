"""Replace text files that other processes read."""

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Write a text file under another name and rename it: readers see the old file or the new one, never a part.

    Args:
        path: the file; its folder exists.
        lines: with their ends.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "notes"
        >>> replace_file(path, ["one\\n", "two\\n"])
        >>> path.read_text().split()
        ['one', 'two']
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    os.replace(temporary, path)
