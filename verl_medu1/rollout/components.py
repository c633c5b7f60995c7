"""What the reward's components say of an episode."""

import json
from collections.abc import Mapping
from typing import Any

from reward_score.evidence import ANSWER_GAIN, evidence_recall
from reward_score.reader import FACTS
from verl_medu1.environments.examinations import COST
from verl_medu1.rollout.names import OUT_OF_ROOM, OUT_OF_TURNS


def episode_components(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what happened in an episode, as numbers and two JSON texts.

    Args:
        record: `Episode.record()`.

    Returns:
        `turns`, `calls`, `invalid_calls`, `failed_calls`, `out_of_turns`, `out_of_room`, `evidence` (how many
        documents the question names as its evidence) and `evidence_recall` (0 without any) as floats; `dialogue`, a
        list of (who, what), and `facts` are texts, because a component is one value. `answer_gain` too, if it was
        measured (`verl_medu1.rollout.answer_gain`; None where it could not be), and with examinations
        `examination_cost`.
    """
    facts = record["facts"]
    measured = {name: facts[name] for name in (ANSWER_GAIN, COST) if name in facts}
    return measured | {
        "turns": float(len(record["spans"])),
        "calls": float(record["calls"]),
        "invalid_calls": float(record["invalid"]),
        "failed_calls": float(record["failed"]),
        "out_of_turns": float(record["ended"] == OUT_OF_TURNS),
        "out_of_room": float(record["ended"] == OUT_OF_ROOM),
        "evidence": float(len(facts.get("evidence") or ())),
        "evidence_recall": evidence_recall(facts) or 0.0,
        "dialogue": json.dumps(record["said"], ensure_ascii=False),
        FACTS: json.dumps(facts, ensure_ascii=False),
    }
