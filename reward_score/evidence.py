"""Evidence: which of the documents that answer a question its searches have found."""

from collections.abc import Mapping
from typing import Any

# What a row asks for, by `extra_info.stage` (arXiv 2507.23541): an answer from documents in its prompt, searches that
# find its evidence, or an answer with searches. A row without a stage is of the last kind.
REASON, RETRIEVE, JOINT = "reason", "retrieve", "joint"
STAGES = (REASON, RETRIEVE, JOINT)


def evidence_recall(facts: Mapping[str, Any]) -> float | None:
    """Return the share of a question's evidence among the documents that were shown: |E ∩ S| / |E|.

    E are the documents that answer the question, S those that any of its searches has shown. A document counts once,
    however often it was shown, and documents that are no evidence count nothing.

    Args:
        facts: of an episode with searches (`verl_medu1.environments.search`): `evidence`, the ids of E, and `searches`,
            each with the ids of its `documents`.

    Returns:
        From 0 to 1; None if the question names no evidence.

    Example:
        >>> evidence_recall({"evidence": ["a", "b"], "searches": [{"documents": ["a", "c"]}, {"documents": ["a"]}]})
        0.5
    """
    evidence = set(facts.get("evidence") or ())
    if not evidence:
        return None
    shown = {document for search in facts["searches"] for document in search.get("documents", ())}
    return len(evidence & shown) / len(evidence)
