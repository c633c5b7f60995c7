"""How many answers have each item of their checklist, by the item's statement."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reward_score.item_results import read_items

# Tables show this many items.
MAX_ITEMS = 50


class ItemKey(NamedTuple):
    """What makes an item the same in the checklists of different rows."""

    statement: str
    must_not: bool


class Tally(NamedTuple):
    """How many answers were scored by an item, and of how many it is true."""

    asked: int = 0
    true: int = 0

    @property
    def share(self) -> float | None:
        """The share of the answers of which the item is true; None if none was scored by it."""
        return self.true / self.asked if self.asked else None


def tally_items(samples: Iterable[Mapping[str, Any]]) -> dict[ItemKey, Tally]:
    """Count for each item the answers that were scored by it, and those of which it is true.

    Args:
        samples: rows of samples.jsonl or of a dump of a training; those without `checklist_items` count for no item.

    Example:
        >>> items = '[{"statement": "Advises rest", "true": true}]'
        >>> tally_items([{"checklist_items": items}, {"checklist_items": ""}, {}])
        {ItemKey(statement='Advises rest', must_not=False): Tally(asked=1, true=1)}
    """
    found: dict[ItemKey, list[bool]] = defaultdict(list)
    for sample in samples:
        for item in read_items(sample.get("checklist_items")):
            found[ItemKey(item.statement, item.must_not)].append(item.true)
    return {key: Tally(len(values), sum(values)) for key, values in found.items()}


def checklist_figures(samples: Iterable[Mapping[str, Any]], number: int = MAX_ITEMS) -> dict[str, Any] | None:
    """Return the items that most answers were scored by, for a summary; None if there is no checklist.

    Returns:
        `items`, each with `statement`, `must_not`, `asked` (answers) and `share` (of those of which it is true), the
        most often asked first; and `left_out`, how many others there are.

    Example:
        >>> items = '[{"statement": "Advises rest", "true": true}]'
        >>> checklist_figures([{"checklist_items": items}])["items"]
        [{'statement': 'Advises rest', 'must_not': False, 'asked': 1, 'share': 1.0}]
    """
    tallies = tally_items(samples)
    if not tallies:
        return None
    # The sort is stable: of items that are asked as often, the first in the samples is first.
    shown = sorted(tallies, key=lambda key: -tallies[key].asked)[:number]
    items = [{**key._asdict(), "asked": tallies[key].asked, "share": tallies[key].share} for key in shown]
    return {"items": items, "left_out": len(tallies) - len(shown)}


def left_out_text(number: int) -> str:
    """Say how many items a table leaves out; "" for none.

    Example:
        >>> left_out_text(0), left_out_text(3)
        ('', 'Left out: 3 more items.')
    """
    return f"Left out: {number} more items." if number else ""
