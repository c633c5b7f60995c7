"""What must hold before a judge reads the reasoning of answers."""

from typing import Any

import pytest

from verl_medu1.checks.reasoning import reasoning_violations
from verl_medu1.config.compose import compose_config

REASONING = "scoring.reasoning"
JUDGE = ["scoring.judge.base_url=http://127.0.0.1:8000/v1", "scoring.judge.model=m"]
BOTH = [f"{REASONING}.consistency_weight=1", f"{REASONING}.rubric=[Says why]", f"{REASONING}.rubric_weight=0.5"]
GDPO = ["algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=[acc,consistent,reasoning]"]


def said(*overrides: str) -> list[str]:
    config: Any = compose_config(["recipe=quickstart", *overrides])
    return list(reasoning_violations(config))


def test_it_may_be_off_measured_paid_or_components_of_gdpo() -> None:
    measured = [f"{REASONING}.consistency_weight=0", f"{REASONING}.rubric_weight=0"]
    for overrides in ([], [*JUDGE, *BOTH], [*JUDGE, *BOTH, *measured], [*JUDGE, *BOTH, *measured, *GDPO]):
        assert said(*overrides) == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (BOTH, "consistency_weight is set, and scoring.judge.base_url is null, so that nobody reads"),
        ([f"{REASONING}.rubric=[Says why]"], "rubric is set, and scoring.judge.base_url is null"),
        ([f"{REASONING}.consistency_weight=-1"], "consistency_weight is -1; it must be a number of at least 0"),
        ([f"{REASONING}.rubric=good"], "rubric is 'good'; give a list of statements, such as"),
        ([f"{REASONING}.rubric=[1]"], "give a list of statements, such as"),
        ([f"{REASONING}.rubric_weight=1"], "rubric_weight is 1, and nothing measures reasoning; set scoring.reasoning"),
        ([*JUDGE, *BOTH, *GDPO], "medu1_gdpo looks at components only; set scoring.reasoning.consistency_weight=0"),
        (GDPO, "names 'consistent', and nothing measures it; set scoring.reasoning.consistency_weight=0."),
        (["reward.reward_manager.name=dapo", *JUDGE, *BOTH], "name is 'dapo', which asks nobody; take MedU1"),
    ],
)
def test_each_mistake_has_its_sentence(overrides: list[str], sentence: str) -> None:
    assert any(sentence in one for one in said(*overrides)), said(*overrides)
