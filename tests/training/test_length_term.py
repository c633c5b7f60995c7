"""Where the trainer can't apply the length term, it says so rather than count something else."""

import pytest
from omegaconf import OmegaConf

from verl_medu1.training.trainer import MedU1Trainer

ROW = {
    "uid": "q",
    "data_source": "MedQA",
    "score": 1.0,
    "acc": 1.0,
    "counted_tokens": 10.0,
    "budget_mode": "max",
    "budget_tokens": 20.0,
}


@pytest.mark.parametrize(
    ("keys", "where", "weight", "ends"),
    [
        (["q_0_0", "q_10_0"], "advantage", 0.5, False),
        # An answer of two sequences would count twice in its group, and with the length of its last one.
        (["q_0_0", "q_1_0", "q_1_1"], "advantage", 0.5, True),
        (["q_0_0", "q_1_0", "q_1_1"], "reward", 0.5, True),
        (["q_0_0", "q_1_10"], "advantage", 0.5, True),
        (["q_0_0", "q_1_0", "q_1_1"], "advantage", 0.0, False),
        (["q_0_0", "q_1_0", "q_1_1"], "off", 0.5, False),
    ],
)
def test_an_answer_of_several_sequences(keys: list[str], where: str, weight: float, ends: bool) -> None:
    trainer = MedU1Trainer.__new__(MedU1Trainer)
    penalty = {
        "name": "kimi",
        "unit": "tokens",
        "where": where,
        "weight": weight,
        "per_source": None,
        "tolerance": 0.0,
        "free_share": 0.5,
    }
    trainer._penalty = OmegaConf.create(penalty)
    trainer.config = OmegaConf.create({"data": {"max_response_length": 100}})
    rows, is_padding = [dict(ROW) for _ in keys], [False] * len(keys)
    if ends:
        with pytest.raises(RuntimeError, match=r"several sequences for one answer, .*; set where=off"):
            trainer._length_shaping(keys, rows, is_padding)
    else:
        assert trainer._length_shaping(keys, rows, is_padding) is not None


def test_calls_are_measured_by_the_most_turns() -> None:
    trainer = MedU1Trainer.__new__(MedU1Trainer)
    shares = {"tolerance": 0.0, "free_share": 0.5}
    trainer._penalty = OmegaConf.create(
        {"name": "dapo_overlong", "unit": "calls", "where": "advantage", "weight": 1.0, "per_source": None, **shares}
    )
    trainer.config = OmegaConf.create({"data": {"max_response_length": 100}, "episodes": {"max_turns": 5}})
    rows = [ROW | {"calls": calls} for calls in (0.0, 4.0, 5.0)]
    shaping = trainer._length_shaping(["q_0_0", "q_1_0", "q_2_0"], rows, [False] * 3)
    assert shaping is not None and shaping.values.tolist() == [0.0, 0.0, -1.0]
    with pytest.raises(RuntimeError, match=r"the rewards come without calls, which our reward manager adds"):
        trainer._length_shaping(["q_0_0"], [dict(ROW)], [False])
