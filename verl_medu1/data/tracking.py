"""Progress of long work on the terminal."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def tracked(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on stderr while they are gone through; nothing where stderr is no terminal.

    Args:
        items: what is gone through.
        what: words beside the bar.
        total: how many they are; their length by default, where they have one.

    Example:
        >>> list(tracked([1, 2], "numbers"))
        [1, 2]
    """
    console = Console(stderr=True)
    return iter(track(items, what, total, console=console, transient=True, disable=not console.is_terminal))
