"""The documents that answer a question, as its row names them."""

import json
from collections.abc import Mapping
from typing import Any


def gold_evidence(extra_info: Mapping[str, Any]) -> list[str]:
    """Return the ids of the documents that answer a row's question; [] if it names none.

    Raises:
        ValueError: `extra_info.environment` can't be read.
    """
    try:
        named = json.loads(extra_info.get("environment") or "{}").get("evidence") or []
    except (ValueError, TypeError, AttributeError):
        named = None
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ValueError(
            f"row {extra_info.get('row_id')!r} has an extra_info.environment that can't be read (JSON with evidence, a "
            "list of ids of documents); prepare the file for searches"
        )
    return named
