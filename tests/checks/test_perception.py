"""What must hold before answers are paid for resting on their pictures."""

from pathlib import Path
from typing import Any

import pytest

from tests.checks.test_images import configured
from verl_medu1.checks.perception import perception_violations

ROLLOUT = "actor_rollout_ref.rollout"
ON = ["scoring.perception.weight=1", f"{ROLLOUT}.agent.default_agent_loop=medu1_seeded"]
GDPO = ["algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=[acc,perception]"]


def said(pictured: Path, *overrides: str) -> list[str]:
    return list(perception_violations(configured(pictured, *overrides)))


def test_it_may_be_off_measured_paid_or_a_component_of_gdpo(pictured: Path) -> None:
    for overrides in ([], ON, [*ON, "scoring.perception.weight=0"], [*ON, *GDPO, "scoring.perception.weight=0"]):
        assert said(pictured, *overrides) == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["scoring.perception.weight=-1"], "weight is -1; it must be a number of at least 0, or null."),
        (["scoring.perception.weight=much"], "weight is 'much'; it must be a number"),
        (["scoring.perception.full_at=0"], "full_at is 0; it must be a number above 0"),
        (
            [f"{ROLLOUT}.agent.default_agent_loop=single_turn_agent"],
            "set actor_rollout_ref.rollout.agent.default_agent",
        ),
        ([f"{ROLLOUT}.calculate_log_probs=false"], "calculate_log_probs is not true, and"),
        (["reward.reward_manager.name=dapo"], "set reward.reward_manager.name=MedU1RewardManager."),
        (["trainer.v1.trainer_mode=medu1_colocate_async"], "set trainer.v1.trainer_mode=medu1_sync."),
        ([f"{ROLLOUT}.temperature=0.7"], "rollout.temperature is 0.7, with which log-probs of responses are not"),
        ([f"{ROLLOUT}.top_p=0.9"], "set actor_rollout_ref.rollout.top_p=1."),
        ([f"{ROLLOUT}.val_kwargs.temperature=0.6"], "set actor_rollout_ref.rollout.val_kwargs.temperature=1."),
        (["reward.custom_reward_function.path=mine.py"], "path is 'mine.py', and scoring.perception.weight pays"),
        (GDPO, "medu1_gdpo looks at components only; set scoring.perception.weight=0 and name perception"),
    ],
)
def test_each_mistake_has_its_sentence(pictured: Path, overrides: list[str], sentence: str) -> None:
    assert any(sentence in one for one in said(pictured, *ON, *overrides)), said(pictured, *ON, *overrides)


def test_questions_without_images_are_refused(pictured: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table: Any = pq.read_table(pictured / "data" / "train.parquet").drop_columns(["images"])
    pq.write_table(table, tmp_path / "text.parquet")
    assert any(
        "data.train_files has no images" in one
        for one in said(pictured, *ON, f"data.train_files={tmp_path}/text.parquet")
    )


@pytest.mark.parametrize("overrides", [GDPO, ["algorithm.filter_groups.metric=perception"]])
def test_who_names_what_nothing_measures_is_told(pictured: Path, overrides: list[str]) -> None:
    (sentence,) = said(pictured, *overrides)
    assert sentence.endswith("names 'perception', and nothing measures it; set scoring.perception.weight=0.")
