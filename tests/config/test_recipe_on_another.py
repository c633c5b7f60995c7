"""A recipe may build on another, which is registered with it."""

from collections.abc import Iterator

import pytest
from hydra.core.config_store import ConfigStore

from verl_medu1.config.compose import compose_config
from verl_medu1.config.recipes import register_recipes

NAME = "qwen2.5-7b-alphamed-1x8h100-tp2-pp1"


@pytest.fixture
def empty_store() -> Iterator[None]:
    ConfigStore.instance().repo.pop("recipe", None)
    yield
    register_recipes()


def test_it_has_what_the_other_sets_and_what_it_sets_itself(empty_store: None) -> None:
    """As `medu1 plan` and `medu1 slurm` compose it, which register named recipes alone."""
    config = compose_config([f"recipe={NAME}"])
    assert (config.scoring.scheme, config.data.mixture.by) == ("accuracy", "level")
    assert config.actor_rollout_ref.actor.megatron.tensor_model_parallel_size == 2
    assert config.actor_rollout_ref.model.path == "Qwen/Qwen2.5-7B-Instruct"
    assert set(ConfigStore.instance().repo["recipe"]) == {f"{NAME}.yaml", "llama-3.1-8b-alphamed-1x8h100-tp2-pp1.yaml"}


def test_the_command_line_wins(empty_store: None) -> None:
    config = compose_config(["recipe=medcco-cpu", "data.mixture.stages=null"])
    assert config.data.mixture.stages is None and config.data.train_batch_size == 12
