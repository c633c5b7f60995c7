"""Drops rows of a mixture that repeat an earlier row, or occur in a benchmark or among the test rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from verl_medu1.data.counts import Counts
from verl_medu1.data.duplicates import Duplicate, DuplicateFinder, Sketched
from verl_medu1.data.example import PASSAGE, Example


def drop_duplicates(
    sources: Mapping[str, Sequence[Example]], counts: Mapping[str, Counts], finder: DuplicateFinder
) -> dict[str, list[Sketched]]:
    """Drop the examples that repeat an earlier one of any source. Passages come last, because they can't be graded.

    An open-ended question that is published with several answers ("What is present?" about one image) keeps the others
    as aliases of the first: each is right.

    Args:
        sources: in order of preference.
        counts: counts by source, updated with the dropped examples.
        finder: finds the duplicates.

    Example:
        >>> twins = [Example("MedQA", str(number), "open_ended", "Which?", "this") for number in (1, 2)]
        >>> counts = {"medqa": Counts()}
        >>> len(drop_duplicates({"medqa": twins}, counts, DuplicateFinder())["medqa"]), counts["medqa"].exact_duplicates
        (1, 1)
    """
    named = [(name, example) for name, examples in sources.items() for example in examples]
    named.sort(key=lambda pair: pair[1].graded == PASSAGE)
    names = [name for name, _ in named]
    rows = finder.sketch([example for _, example in named])
    duplicates = finder.within(rows)
    others = _other_golds(rows, duplicates)
    kept: dict[str, list[Sketched]] = {name: [] for name in sources}
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        if place not in duplicates:
            aliases = (*row.example.aliases, *others.get(place, ()))
            kept[name].append(replace(row, example=replace(row.example, aliases=aliases)))
        elif duplicates[place].exact:
            counts[name].exact_duplicates += 1
        else:
            counts[name].near_duplicates += 1
    return kept


def _other_golds(rows: Sequence[Sketched], duplicates: Mapping[int, Duplicate]) -> dict[int, list[str]]:
    """Return position of an open-ended row -> the golds of the rows that repeat it word for word, but for its own."""
    found: dict[int, list[str]] = {}
    for place, duplicate in duplicates.items():
        row, first = rows[place].example, rows[duplicate.of].example
        is_short = row.answer_type == first.answer_type == "open_ended" and row.graded != PASSAGE
        known = (first.gold, *first.aliases, *found.get(duplicate.of, ()))
        if duplicate.exact and is_short and row.gold.casefold() not in map(str.casefold, known):
            found.setdefault(duplicate.of, []).append(row.gold)
    return found


class Contamination:
    """Finds training rows that also occur in a benchmark or among the test rows.

    Args:
        finder: finds the duplicates.
        keep: count such rows, but allow training on them.
    """

    def __init__(self, finder: DuplicateFinder, keep: bool) -> None:
        self._finder = finder
        self._keep = keep
        # A row that is kept may be found twice, but counts once.
        self._found: set[int] = set()

    def may_train(self, rows: Sequence[Sketched], known: Sequence[Sketched], counts: Counts) -> list[bool]:
        """Return, for each row, whether it may be trained on.

        Args:
            rows: rows of one source.
            known: rows that must not be trained on.
            counts: counts of the source, updated with the rows found.

        Example:
            >>> finder, counts = DuplicateFinder(), Counts()
            >>> rows = finder.sketch([Example("MedQA", "1", "open_ended", "Which?", "this")])
            >>> Contamination(finder, keep=False).may_train(rows, rows, counts), counts.contaminated
            ([False], 1)
        """
        found = self._finder.across(rows, known)
        new = {id(rows[place]) for place in found} - self._found
        self._found |= new
        counts.contaminated += len(new)
        counts.by_image += sum(bool(rows[place].pictures) and id(rows[place]) in new for place in found)
        return [self._keep or place not in found for place in range(len(rows))]
