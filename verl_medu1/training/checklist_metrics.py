"""Metrics of checklists: how many items answers have, and how often rules and judge agree on them.

Items by name would be a metric each; the dumped answers have them, and the report a table.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from reward_score.item_results import AGREED, DIFFERED, NO_VERDICT, read_items


def item_metrics(samples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Compute the share of the items that are true of the answers which they were scored by, per data source.

    Args:
        samples: one dict per response: `data_source`, and `checklist_items` if there are any.

    Returns:
        `reward/<data_source>/checklist_items/mean`, and the same of must-nots, `/checklist_must_nots/mean`; what no
        answer was scored by is missing.

    Example:
        >>> items = '[{"statement": "a", "true": true}, {"statement": "b", "true": false}]'
        >>> item_metrics([{"data_source": "own", "checklist_items": items}])
        {'reward/own/checklist_items/mean': 0.5}
    """
    found: dict[str, list[bool]] = defaultdict(list)
    for sample in samples:
        for item in read_items(sample.get("checklist_items")):
            kind = "checklist_must_nots" if item.must_not else "checklist_items"
            found[f"reward/{sample['data_source']}/{kind}/mean"].append(item.true)
    return {name: sum(values) / len(values) for name, values in found.items()}


def audit_metrics(samples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Count the items that a rule decided and the judge was asked about, too; {} if there are none.

    Returns:
        `judge/audit_items`, those with a verdict of the judge; `judge/audit_failed`, those without one; and
        `judge/audit_agreement`, the share of the former on which both agree, missing if there are none.

    Example:
        >>> items = '[{"statement": "a", "true": true, "audit": "agreed"}]'
        >>> audit_metrics([{"checklist_items": items}, {"checklist_items": ""}])
        {'judge/audit_items': 1, 'judge/audit_failed': 0, 'judge/audit_agreement': 1.0}
    """
    audits = Counter(item.audit for sample in samples for item in read_items(sample.get("checklist_items")))
    number = audits[AGREED] + audits[DIFFERED]
    if not number and not audits[NO_VERDICT]:
        return {}
    metrics: dict[str, float] = {"judge/audit_items": number, "judge/audit_failed": audits[NO_VERDICT]}
    return metrics | ({"judge/audit_agreement": audits[AGREED] / number} if number else {})
