"""The tags with which a model acts before it answers, in turns of their own (verl_medu1/environments)."""

from collections.abc import Sequence

from reward_score.response import THINK_CLOSE, THINK_OPEN

SEARCH_OPEN, SEARCH_CLOSE = "<search>", "</search>"
ASK_OPEN, ASK_CLOSE = "<ask>", "</ask>"
ORDER_OPEN, ORDER_CLOSE = "<order>", "</order>"
SELECT_OPEN, SELECT_CLOSE, STOP = "<select>", "</select>", "<stop/>"


def search_turn(query: str) -> str:
    """Write a turn that searches.

    Example:
        >>> search_turn("zolmira")
        '<think>zolmira</think><search>zolmira</search>'
    """
    return f"{THINK_OPEN}{query}{THINK_CLOSE}{SEARCH_OPEN}{query}{SEARCH_CLOSE}"


def stop_turn(numbers: Sequence[int]) -> str:
    """Write a turn that selects documents by the numbers with which they were shown, and stops.

    Example:
        >>> stop_turn([1, 2])
        '<think>1 2</think><select>1 2</select><stop/>'
    """
    chosen = " ".join(map(str, numbers))
    return f"{THINK_OPEN}{chosen}{THINK_CLOSE}{SELECT_OPEN}{chosen}{SELECT_CLOSE}{STOP}"


def ask_turn(finding: str, thought: str = "") -> str:
    """Write a turn that asks for a finding, after a thought; without one, after its name.

    Example:
        >>> ask_turn("fever", "cough no")
        '<think>cough no</think><ask>fever</ask>'
    """
    return f"{THINK_OPEN}{thought or finding}{THINK_CLOSE}{ASK_OPEN}{finding}{ASK_CLOSE}"
