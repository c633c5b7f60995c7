"""The tags with which a model acts before it answers, in turns of their own (verl_medu1/environments)."""

from reward_score.response import THINK_CLOSE, THINK_OPEN

SEARCH_OPEN, SEARCH_CLOSE = "<search>", "</search>"
ASK_OPEN, ASK_CLOSE = "<ask>", "</ask>"


def search_turn(query: str) -> str:
    """Write a turn that searches.

    Example:
        >>> search_turn("zolmira")
        '<think>zolmira</think><search>zolmira</search>'
    """
    return f"{THINK_OPEN}{query}{THINK_CLOSE}{SEARCH_OPEN}{query}{SEARCH_CLOSE}"


def ask_turn(finding: str, thought: str = "") -> str:
    """Write a turn that asks for a finding, after a thought; without one, after its name.

    Example:
        >>> ask_turn("fever", "cough no")
        '<think>cough no</think><ask>fever</ask>'
    """
    return f"{THINK_OPEN}{thought or finding}{THINK_CLOSE}{ASK_OPEN}{finding}{ASK_CLOSE}"
