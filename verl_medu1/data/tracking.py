"""Progress bars for long work in the terminal."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import track


def tracked[Item](items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over items with a progress bar on stderr, if stderr is a terminal.

    Args:
        items: the items to iterate over.
        what: label of the bar.
        total: number of items; by default their length, if they have one.

    Example:
        >>> list(tracked([1, 2], "numbers"))
        [1, 2]
    """
    console = Console(stderr=True)
    return iter(track(items, what, total, console=console, transient=True, disable=not console.is_terminal))
