"""The order of the answers in a training batch: by question, not by the time at which each was finished."""

from collections.abc import Mapping, Sequence


def by_question(keys: Sequence[str], place: Mapping[str, int]) -> list[int]:
    """Rows of a batch in the order in which their questions were asked, the answers to one question together.

    verl 0.9.1's V1 trainers take the answers as they were finished (transfer_queue/controller.py:2159) and cut them
    into mini-batches from the front: which answers meet in an update is chance, and the quick ones go first. In this
    order a mini-batch holds whole groups, and a run with seeded answers makes the same updates again.

    Args:
        keys: names of the rows, "{question}_{answer}_{turn}" as verl's agent loop writes them
            (trainer/ppo/v1/agent_loop_tq.py:193).
        place: question -> when it was asked; a question that is missing goes first.

    Returns:
        The row that goes first, the one that goes second, and so on.

    Example:
        >>> by_question(["b_1_0", "a_1_0", "b_0_0", "a_0_0"], {"b": 0, "a": 1})
        [2, 0, 3, 1]
    """

    def rank(row: int) -> tuple[int, str, int, int]:
        question, answer, turn = keys[row].rsplit("_", 2)
        return place.get(question, -1), question, int(answer), int(turn)

    return sorted(range(len(keys)), key=rank)
