"""Which items of its row's checklist are true of an answer, as the text that a scored response carries."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# What became of an item that a rule decided and the judge was asked about, too (`scoring.checklist.audit_share`).
AGREED, DIFFERED, NO_VERDICT = "agreed", "differed", "no verdict"


@dataclass(frozen=True, slots=True)
class ItemResult:
    """One item of a checklist, decided for one answer.

    Attributes:
        statement: The item's statement.
        true: Whether it is true of the answer.
        must_not: Whether a right answer must not have it.
        audit: `AGREED` or `DIFFERED` if the judge was asked about what a rule had decided, `NO_VERDICT` if it gave
            none, "" if it was not asked.
    """

    statement: str
    true: bool
    must_not: bool = False
    audit: str = ""


def write_items(results: Iterable[ItemResult]) -> str:
    """Return the results as JSON, "" for none.

    A text, because verl takes the mean of other components in a validation, and wants lists of equal length.

    Example:
        >>> write_items([ItemResult("Advises rest", True), ItemResult("Aspirin", False, must_not=True)])
        '[{"statement": "Advises rest", "true": true}, {"statement": "Aspirin", "true": false, "must_not": true}]'
    """
    items = []
    for result in results:
        item: dict[str, Any] = {"statement": result.statement, "true": result.true}
        if result.must_not:
            item["must_not"] = True
        if result.audit:
            item["audit"] = result.audit
        items.append(item)
    return json.dumps(items, ensure_ascii=False) if items else ""


def read_items(text: str | None) -> list[ItemResult]:
    """Return the results in a text of `write_items`; [] for "" and None.

    Raises:
        ValueError: The text is something else.

    Example:
        >>> read_items('[{"statement": "Advises rest", "true": true}]')
        [ItemResult(statement='Advises rest', true=True, must_not=False, audit='')]
    """
    if not text:
        return []
    try:
        return [ItemResult(**item) for item in json.loads(text)]
    except (TypeError, ValueError):
        raise ValueError(f"checklist_items is {str(text)[:80]!r}, which is not what the scorer writes") from None
