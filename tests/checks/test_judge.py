"""What is checked of `scoring.judge` before a run starts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from reward_score.judge.settings import JudgeSettings
from verl_medu1.checks import judge as module
from verl_medu1.checks.judge import judge_violations
from verl_medu1.checks.rewards import reward_source_violations, scoring_violations, trainer_violations
from verl_medu1.config.compose import compose_config
from verl_medu1.machine.processors import workers_per_node

MEDU1 = Path(module.__file__).parents[1] / "config" / "medu1.yaml"
DEFAULTS = yaml.safe_load(MEDU1.read_text())["scoring"]["judge"]
ON = {"base_url": "http://127.0.0.1:8000/v1", "model": "m"}


def config(judge: dict[str, Any]) -> DictConfig:
    reward = {"reward_model": {"enable": False}, "custom_reward_function": {"path": None}}
    scoring = {"judge": {**DEFAULTS, **judge}, "checklist": {"items_per_step": None, "audit_share": 0.0}}
    return OmegaConf.create({"scoring": scoring, "reward": reward})


def test_the_defaults_of_the_recipe_are_those_of_the_settings():
    read = JudgeSettings.read({**DEFAULTS, **ON})
    assert read == JudgeSettings(**ON)


@pytest.mark.parametrize(
    ("judge", "sentences"),
    [
        ({}, []),
        (ON, []),
        ({**ON, "timeout_s": 0}, ["scoring.judge.timeout_s is 0; give a number of seconds above 0."]),
        (
            {**ON, "model": "", "threshold": 2},
            [
                "scoring.judge.model is ''; give the name of the model that the endpoint serves.",
                "scoring.judge.threshold is 2; give a number between 0 and 1.",
            ],
        ),
    ],
)
def test_each_mistake_is_a_sentence(judge, sentences):
    assert list(judge_violations(config(judge))) == sentences


def test_a_required_check_is_read(tmp_path):
    needed = {**DEFAULTS["required_check"], "file": str(tmp_path / "none.json")}
    [sentence] = judge_violations(config({**ON, "required_check": needed}))
    assert sentence.startswith("scoring.judge.required_check.file: ") and "run `medu1 judge check`" in sentence


@pytest.mark.parametrize("mode", ["sync", "colocate_async", "separate_async"])
def test_verls_own_trainers_take_no_judge(mode):
    settings = config(ON)
    algorithm = {"adv_estimator": "grpo", "length_penalty": {"where": "off", "weight": 0.0, "per_source": None}}
    settings.update({"trainer": {"v1": {"trainer_mode": mode}}, "algorithm": algorithm})
    [sentence] = trainer_violations(settings)
    assert "an answer without a verdict of the judge for a wrong one" in sentence
    settings.trainer.v1.trainer_mode = "medu1_sync"
    assert list(trainer_violations(settings)) == []


POOL = ["recipe=quickstart", "judge=pool"]


@pytest.mark.parametrize(
    ("overrides", "sentences"),
    [
        ([*POOL, "reward.reward_model.model_path=/tmp"], []),
        (POOL, ["reward.reward_model.model_path is None; give the folder of the judge's model."]),
        (
            [*POOL, "reward.reward_model.model_path=/no/judge"],
            ["reward.reward_model.model_path is '/no/judge'; give the folder of the judge's model."],
        ),
        (
            ["recipe=quickstart", "scoring.judge.base_url=pool", "scoring.judge.model=m"],
            ["scoring.judge.base_url is 'pool', without verl's pool of reward models; set judge=pool instead."],
        ),
        (
            [*POOL, "reward.reward_model.model_path=/tmp", "reward.reward_model.rollout.free_cache_engine=true"],
            [
                "reward.reward_model.rollout.free_cache_engine is true, and verl never wakes a pool that it has put "
                "to sleep; set it to false."
            ],
        ),
    ],
)
def test_a_judge_in_verls_pool(overrides, sentences):
    assert [one for one in scoring_violations(compose_config(overrides)) if "reward_model" in one or "pool" in one] == (
        sentences
    )


PLACED = [*POOL, "reward.reward_model.model_path=/tmp"]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["reward.reward_model.rollout.tensor_model_parallel_size=2"], "which does not divide the pool's 1 GPUs"),
        (
            ["reward.reward_model.rollout.tensor_model_parallel_size=2", "reward.reward_model.n_gpus_per_node=4"],
            None,
        ),
        (["reward.reward_model.n_gpus_per_node=null"], "n_gpus_per_node is None; it must be a whole number"),
        (["reward.reward_model.nnodes=0"], "nnodes is 0; it must be a whole number"),
        (["scoring.judge.base_url=http://127.0.0.1:1/v1"], "so that nothing asks the pool; leave out judge=pool"),
        (["scoring.judge.base_url=null"], "so that nothing asks the pool; leave out judge=pool"),
    ],
)
def test_a_pool_that_verl_cannot_start_or_nothing_asks(overrides, sentence):
    found = list(scoring_violations(compose_config([*PLACED, *overrides])))
    assert found == [] if sentence is None else len(found) == 1 and sentence in found[0]


def test_a_pool_without_a_size_is_one_sentence_where_gpus_are_counted():
    config = compose_config([*PLACED, "reward.reward_model.n_gpus_per_node=null"])
    with pytest.raises(ValueError, match=r"^reward\.reward_model\.n_gpus_per_node is None; it must be a whole number"):
        workers_per_node(config)


def test_our_scorers_beside_the_pool_are_ours():
    assert not list(reward_source_violations(compose_config([*POOL, "reward.reward_model.model_path=/tmp"])))
