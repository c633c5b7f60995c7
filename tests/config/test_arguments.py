"""Names that do not exist, of recipes, keys and choices: one sentence with the nearest that do, in every command."""

import re
from pathlib import Path

import pytest
from hydra.utils import get_class

from verl_medu1.checks.run import check_submission
from verl_medu1.config.arguments import require_arguments
from verl_medu1.config.compose import compose_config, compose_recipe
from verl_medu1.config.keys import has_key, unknown_key_violations
from verl_medu1.config.recipes import SFT, TRAIN, recipe_names
from verl_medu1.machine.machine import Machine
from verl_medu1.verl_compat import config_folder
from verl_medu1.verl_compat.fields import fields_of

QUICKSTART = "recipe=quickstart"


@pytest.mark.parametrize(
    ("stage", "arguments", "sentence"),
    [
        (TRAIN, [], r"no recipe is given; add recipe=NAME, such as quickstart, .*-cpu, .*docs/recipes\.md"),
        (TRAIN, ["trainer.nnodes=1"], "no recipe is given"),
        (TRAIN, ["data.train_files=a.parquet"], r"\), or data.train_files and actor_rollout_ref.model.path\."),
        (SFT, [], r"no recipe is given; add recipe=NAME, such as .*\), or data.train_files and model.path\."),
        (TRAIN, ["recipe=quickstrat"], "'quickstrat', which does not exist; near it are quickstart, .*; all: .*qwen"),
        (SFT, ["recipe=cold_start"], "recipe is 'cold_start', which does not exist; near it are cold-start"),
        (TRAIN, [QUICKSTART, "precision=fp9"], "precision is 'fp9', which does not exist; near it are fp8"),
        (
            TRAIN,
            [QUICKSTART, "trainer.total_training_stepz=4"],
            "^trainer.total_training_stepz is not a key; near it are total_training_steps, [^\n]*$",
        ),
        (TRAIN, [QUICKSTART, "algoritm.gamma=1"], "^algoritm is not a key; near it are algorithm"),
        (TRAIN, [QUICKSTART, "trainer.device.kind=1"], "^trainer.device.kind is not a key, for .* is a value"),
        (
            TRAIN,
            [QUICKSTART, "data.apply_chat_template_kwargs.enable_thinking=false"],
            r"write \+data\.apply_chat_template_kwargs\.enable_thinking=VALUE",
        ),
        (SFT, [QUICKSTART, "optim.learning_rate=1"], "^optim.learning_rate is not a key; near it are "),
        (TRAIN, [QUICKSTART, "lora=null", "--cfg", "job"], "^lora is null, and null is no choice; leave it out"),
        (SFT, ["--help", "sft_machine=null"], "^sft_machine is null, and null is no choice; leave it out"),
        (TRAIN, [QUICKSTART, "data.seed=[1"], r"^the recipe can't be composed: [^\n]*$"),
    ],
)  # fmt: skip
def test_each_has_its_sentence(stage: str, arguments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        require_arguments(arguments, stage)


@pytest.mark.parametrize(
    ("stage", "arguments"),
    [
        (TRAIN, [QUICKSTART, "model_engine=dp", "precision=fp8", "data.seed=2", "allow_changed=[data.seed]"]),
        (TRAIN, [QUICKSTART, "+ray_kwargs.ray_init.log_to_driver=false", "~scoring", "hydra.verbose=true"]),
        (SFT, [QUICKSTART, "engine=megatron", "sft_machine=gpu"]),
        (SFT, ["data.train_files=a.parquet", "model.path=b"]),
        (TRAIN, ["base=medical_rl", "data.train_files=a.parquet", "actor_rollout_ref.model.path=b"]),
        # Hydra's own business
        (TRAIN, ["--help"]),
        (TRAIN, ["--cfg", "job"]),
        (TRAIN, ["--config-dir=mine", "recipe=mine"]),
    ],
)
def test_what_hydra_takes_passes(stage: str, arguments: list[str]) -> None:
    require_arguments(arguments, stage)


@pytest.mark.parametrize("name", recipe_names(SFT))
def test_no_key_of_a_supervised_recipe_is_unknown(name: str) -> None:
    assert list(unknown_key_violations(compose_config([f"recipe={name}"], SFT), SFT)) == []


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("+trainer.total_epoch=3", r"trainer\.total_epoch is not a key .*near it are total_epochs"),
        ("+optim.lrr=3", r"optim\.lrr is not a key of verl's FSDPOptimizerConfig; near it are lr"),
        ("+algorithm.length_penalty.weight=0", "algorithm is not a key that anything reads"),
    ],
)
def test_a_key_behind_a_plus_is_refused_in_the_supervised_stage_too(override: str, sentence: str) -> None:
    (found,) = unknown_key_violations(compose_config([QUICKSTART, override], SFT), SFT)
    assert re.match(sentence, found)


def test_so_it_is_before_planning_and_submitting() -> None:
    override = "+trainer.total_training_stepz=4"
    with pytest.raises(ValueError, match=r"total_training_stepz is not a key .*near it are total_training_steps"):
        compose_recipe([QUICKSTART, override])
    with pytest.raises(ValueError, match=r"total_training_stepz is not a key .*near it are total_training_steps"):
        check_submission(compose_config([QUICKSTART, override]), Machine(capability=None))


def test_fields_are_those_that_python_finds() -> None:
    texts = [file.read_text() for file in Path(config_folder.folder()).glob("_generated_ppo*.yaml")]
    targets = {target for text in texts for target in re.findall(r"_target_: (verl[\w.]+)", text)}
    assert len(targets) > 40
    for target in targets:
        assert set(fields_of(target)) == set(get_class(target).__dataclass_fields__), target
    assert fields_of("verl.nowhere.Nothing") == fields_of("torch.nn.Module") == ()


def test_the_stages_do_not_share_their_keys() -> None:
    for key, stages in {"optim.lr": [SFT], "data.train_files": [TRAIN, SFT], "algorithm.gamma": [TRAIN]}.items():
        assert [stage for stage in (TRAIN, SFT) if has_key(key, stage)] == stages
