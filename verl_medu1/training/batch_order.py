"""The order of the responses in a training batch: by question, not by the time at which each finished."""

from collections.abc import Iterable, Mapping, Sequence


class Asked:
    """The questions that wait for their update, in the order in which they were asked.

    Example:
        >>> asked = Asked()
        >>> asked.add(["b", "a"])
        >>> asked.order(["a_0_0", "b_0_0"]), len(asked)
        ([1, 0], 0)
    """

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._place)

    def add(self, questions: Iterable[str]) -> None:
        """Append questions."""
        for question in questions:
            self._place[question] = self._number
            self._number += 1

    def place(self, question: str) -> int:
        """Return the position of a question in the order of asking; -1 for one of a run before this one."""
        return self._place.get(question, -1)

    def forget(self, questions: Iterable[str]) -> None:
        """Drop questions that wait for no update any more."""
        for question in questions:
            self._place.pop(question, None)

    def order(self, keys: Sequence[str]) -> list[int]:
        """Return `by_question` for the rows of a batch, and forget its questions: a batch has all answers to each."""
        rows = by_question(keys, self._place)
        self.forget(_parts(key)[0] for key in keys)
        return rows


def _parts(key: str) -> tuple[str, int, int]:
    question, answer, turn = key.rsplit("_", 2)
    return question, int(answer), int(turn)


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
        question, answer, turn = _parts(keys[row])
        return place.get(question, -1), question, answer, turn

    return sorted(range(len(keys)), key=rank)
