"""The order of the responses in a training batch: by question, not by the time at which each finished."""

from collections.abc import Mapping, Sequence


def by_question(keys: Sequence[str], place: Mapping[str, int]) -> list[int]:
    """Sort the rows of a batch by the order in which their questions were asked, so that groups stay together.

    verl 0.9.1's V1 trainers take responses in the order in which they finish (transfer_queue/controller.py,
    _handle_kv_list_request) and split them into mini-batches from the front. Chance then decides which responses
    share an update, and fast ones come first. In the order given here a run with seeded responses repeats the same
    updates. With one data-parallel rank a mini-batch holds whole groups; with more, verl then gives each rank rows with
    about as many tokens (utils/seqlen_balancing.py, get_seqlen_balanced_partitions), which cuts some groups. No
    advantage depends on it.

    Args:
        keys: row names, "{question}_{answer}_{turn}" as verl's agent loop writes them
            (trainer/ppo/v1/agent_loop_tq.py, _agent_loop_postprocess).
        place: question -> its position in the order of asking; a missing question goes first.

    Returns:
        Row numbers in their new order.

    Example:
        >>> by_question(["b_1_0", "a_1_0", "b_0_0", "a_0_0"], {"b": 0, "a": 1})
        [2, 0, 3, 1]
    """

    def rank(row: int) -> tuple[int, str, int, int]:
        question, answer, turn = keys[row].rsplit("_", 2)
        return place.get(question, -1), question, int(answer), int(turn)

    return sorted(range(len(keys)), key=rank)
