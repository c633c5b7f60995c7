"""Evidence: what the searches of a question have found of it."""

import math
from collections.abc import Mapping
from typing import Any

# What a row asks for, by `extra_info.stage` (arXiv 2507.23541): an answer from documents in its prompt, searches that
# find its evidence, or an answer with searches. A row without a stage is of the last kind.
REASON, RETRIEVE, JOINT = "reason", "retrieve", "joint"
STAGES = (REASON, RETRIEVE, JOINT)
# Key of the facts: how much more probable the model finds the right answer with what it was told, in nats per token.
ANSWER_GAIN = "answer_gain"


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
    shown = {document for search in facts.get("searches", ()) for document in search.get("documents", ())}
    return len(evidence & shown) / len(evidence)


def evidence_found(facts: Mapping[str, Any]) -> float | None:
    """Return what searches are worth: `evidence_recall`, or the gain of the right answer where no evidence is named.

    The gain is max(0, 1 - p0 / p1), with p1 and p0 the geometric means of the probabilities of the answer's tokens with
    what was found and without it: 0 if the documents don't help, at most 1.

    Args:
        facts: of an episode with searches.

    Returns:
        From 0 to 1; None if the question names no evidence and no gain was measured.

    Example:
        >>> evidence_found({"searches": [], "answer_gain": math.log(4)}), evidence_found({"answer_gain": -1.0})
        (0.75, 0.0)
    """
    recall, gain = evidence_recall(facts), facts.get(ANSWER_GAIN)
    if recall is not None or gain is None:
        return recall
    return -math.expm1(-gain) if gain > 0 else 0.0
