"""verl's asynchronous replay buffer ends the run on a failed question, as the synchronous one does."""

from collections import Counter

import pytest


@pytest.fixture
def buffer():
    from verl.trainer.ppo.v1.replay_buffer import ReplayBufferAsync

    from verl_medu1.training.failed_questions import end_on_failed_questions

    # No queue is asked: only what is decided for a snapshot of it is looked at.
    made = ReplayBufferAsync.__new__(ReplayBufferAsync)
    made.sync_refill_failed_groups = False
    made._clear_groups = lambda partition, uids: None
    made._metrics_prefix = lambda partition: "x"
    end_on_failed_questions(made)
    return made


def test_failed_questions_end_the_run(buffer):
    with pytest.raises(RuntimeError, match="step 3 is not trained on: 2 of its questions have no answers"):
        buffer._evict_terminal_groups(3, "train", (set(), set(), {"a", "b"}, Counter()))


def test_what_may_be_replaced_is_replaced(buffer):
    assert buffer._evict_terminal_groups(3, "train", (set(), set(), set(), Counter())) == (set(), 0, 0, {})
    buffer.sync_refill_failed_groups = True
    evicted, *_ = buffer._evict_terminal_groups(3, "train", (set(), {"d"}, {"f"}, Counter()))
    assert evicted == {"d", "f"}
