"""What the reward's components say of an episode."""

import json
from collections.abc import Mapping
from typing import Any

from reward_score.reader import FACTS
from verl_medu1.rollout.names import OUT_OF_ROOM, OUT_OF_TURNS


def episode_components(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `turns`, `calls`, `invalid_calls`, `failed_calls`, `out_of_turns` and `out_of_room`, and two JSON texts.

    Args:
        record: `Episode.record()`.

    Returns:
        Numbers as floats; `dialogue`, a list of (who, what), and `facts` are texts, because a component is one value.
    """
    return {
        "turns": float(len(record["spans"])),
        "calls": float(record["calls"]),
        "invalid_calls": float(record["invalid"]),
        "failed_calls": float(record["failed"]),
        "out_of_turns": float(record["ended"] == OUT_OF_TURNS),
        "out_of_room": float(record["ended"] == OUT_OF_ROOM),
        "dialogue": json.dumps(record["said"], ensure_ascii=False),
        FACTS: json.dumps(record["facts"], ensure_ascii=False),
    }
