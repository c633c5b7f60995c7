"""How many answers have each item of their checklist, in the first and in the last steps of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_medu1.evaluate.checklists import MAX_ITEMS, ItemKey, Tally, left_out_text, tally_items
from verl_medu1.report.excerpts import cut
from verl_medu1.run_folder.evaluations import read_jsonl
from verl_medu1.run_folder.reader import Series

# The first and the last steps are a tenth of all, at least one and at most this many.
MAX_STEPS = 5
MAX_CHARACTERS = 300


@dataclass(frozen=True)
class ItemRow:
    """One item, with the answers that were scored by it in the first and in the last steps."""

    statement: str
    must_not: bool
    first: Tally
    last: Tally


@dataclass(frozen=True)
class ItemTable:
    """The items that most answers were scored by.

    Attributes:
        first, last: the steps in words; `last` is "" if there is only one step.
        rows: the most often asked item first.
        left_out: how many others there are, in words; "" for none.
    """

    first: str
    last: str
    rows: list[ItemRow]
    left_out: str


def item_table(dumps: Mapping[int, Path]) -> ItemTable | None:
    """Count the answers with each item; None if no answer of these steps has a checklist.

    Args:
        dumps: verl's sample dumps by step; only those of the first and the last steps are read.
    """
    steps = sorted(dumps)
    number = min(MAX_STEPS, max(1, len(steps) // 10))
    first, last = steps[:number], steps[number:][-number:]
    before, after = (tally_items(row for step in chosen for row in read_jsonl(dumps[step])) for chosen in (first, last))
    keys = [*before, *(key for key in after if key not in before)]
    if not keys:
        return None
    rows = [_row(key, before.get(key, Tally()), after.get(key, Tally())) for key in keys]
    rows.sort(key=lambda row: -(row.first.asked + row.last.asked))
    left_out = left_out_text(len(rows) - len(rows[:MAX_ITEMS]))
    return ItemTable(_in_words(first), _in_words(last), rows[:MAX_ITEMS], left_out)


def _row(key: ItemKey, first: Tally, last: Tally) -> ItemRow:
    return ItemRow(cut(key.statement, MAX_CHARACTERS), key.must_not, first, last)


def _in_words(steps: Sequence[int]) -> str:
    """Return such as "step 1", "steps 1 to 5" and "" for none."""
    if not steps:
        return ""
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"


def audit_sentence(scalars: Mapping[str, Series]) -> str:
    """Say how often rules and judge agreed over the whole training; "" if nothing was audited.

    Args:
        scalars: the run's metrics.

    Example:
        >>> audit_sentence({"judge/audit_items": {1: 6.0, 2: 2.0}, "judge/audit_agreement": {1: 1.0, 2: 0.5}})
        'Rules and judge agreed on 7 of 8 items that rules had decided and the judge was asked about, too.'
    """
    items = scalars.get("judge/audit_items", {})
    agreement = scalars.get("judge/audit_agreement", {})
    asked = round(sum(items.values()))
    failed = round(sum(scalars.get("judge/audit_failed", {}).values()))
    if not asked and not failed:
        return ""
    agreed = round(sum(share * items[step] for step, share in agreement.items()))
    what = "items that rules had decided and the judge was asked about, too"
    sentence = f"Rules and judge agreed on {agreed} of {asked} {what}."
    return f"{sentence} On {failed} more it gave no verdict." if failed else sentence
