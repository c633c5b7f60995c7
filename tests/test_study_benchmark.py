"""The study of benchmarks/study.yaml: what is wrong with its keys shows here, and not after hours of training."""

from pathlib import Path

import pytest

from benchmarks.study_plan import Study, as_arguments, read_study
from verl_medu1.config.compose import compose_config
from verl_medu1.config.keys import unknown_key_violations
from verl_medu1.config.recipes import SFT, TRAIN


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Path(__file__).resolve().parents[1] / "benchmarks" / "study.yaml")


def test_every_key_is_one_that_its_recipe_has(study: Study) -> None:
    stages = [(SFT, study.cold_start.settings)]
    stages += [(TRAIN, study.settings | cell.settings) for cell in study.cells.values()]
    for stage, settings in stages:
        config = compose_config([f"recipe={study.recipe}", *as_arguments(settings)], stage)
        assert list(unknown_key_violations(config, stage)) == []


def test_prompts_and_answers_fit_into_what_the_rollout_reads(study: Study) -> None:
    prompt, answer = (study.settings[f"data.max_{part}_length"] for part in ("prompt", "response"))
    assert study.data.prompt_tokens <= prompt and study.evaluation.max_tokens == answer
    assert prompt + answer <= study.settings["actor_rollout_ref.rollout.max_model_len"]
