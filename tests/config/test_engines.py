"""Each recipe with the other engine: what only one engine reads is composed for that one alone."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from verl_medu1.checks.settings import setting_violations
from verl_medu1.config import recipes
from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.config.keys import (
    legacy_violations,
    unknown_key_sentence,
    unknown_key_violations,
    unread_key_violations,
)
from verl_medu1.config.recipes import SFT, TRAIN, gpu_in_name, recipe_names
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.settings import KEYS

SEVEN = "qwen2.5-7b-1x8h100-tp2-pp1"
ON_GPUS = [name for name in recipe_names() if gpu_in_name(name)]
# What a recipe's Megatron layout leaves for the user to say.
LONG = "ppo_max_token_len_per_gpu is 12288, less than data.max_prompt_length + data.max_response_length (34816)"
REFUSED = {"qwen3-8b-2x8h100-tp2-pp1-cp4": LONG}


@pytest.mark.parametrize("name", ON_GPUS)
def test_a_recipe_is_composed_for_fsdp2_without_a_key_of_megatron(name):
    overrides = [f"recipe={name}", "model_engine=dp", *(["lora=r16"] if "-lora-" in name else [])]
    config = compose_config(overrides)
    OmegaConf.to_container(config, resolve=True)
    actor, ref = config.actor_rollout_ref.actor, config.actor_rollout_ref.ref
    assert actor.strategy == "fsdp2" and "megatron" not in actor and "megatron" not in ref
    assert actor.fsdp_config.param_offload and actor.fsdp_config.optimizer_offload
    checks = (unknown_key_violations, unread_key_violations, legacy_violations, setting_violations)
    assert [sentence for check in checks for sentence in check(config)] == []
    found = find_violations(settings_in(config), find_architecture(config.actor_rollout_ref.model.path))
    assert [REFUSED[name] in str(violation) for violation in found] == [True] * (name in REFUSED)
    assert settings_in(config).adapter_rank == (16 if "-lora-" in name else 0)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe of another package that builds on one of ours, and sets keys of both engines."""
    folder = tmp_path / "recipes_of_mine" / "mine"
    folder.mkdir(parents=True)
    (folder / TRAIN).write_text(
        f"defaults: [{SEVEN}, _self_]\n"
        "actor_rollout_ref:\n"
        "  actor:\n"
        "    ppo_mini_batch_size: 32\n"
        "    megatron: {pipeline_model_parallel_size: 2}\n"
        "    fsdp_config: {fsdp_size: 4}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(recipes, "added", lambda group: {"mine": None})
    monkeypatch.setattr(recipes, "load", lambda entry_point: "recipes_of_mine")
    return "recipe=mine"


def test_a_recipe_that_builds_on_another_has_the_engine_s_keys_of_both(mine):
    actor = compose_config([mine]).actor_rollout_ref.actor
    sizes = actor.megatron.tensor_model_parallel_size, actor.megatron.pipeline_model_parallel_size
    assert (*sizes, actor.ppo_mini_batch_size, "fsdp_config" in actor) == (2, 2, 32, False)
    actor = compose_config([mine, "model_engine=dp"]).actor_rollout_ref.actor
    assert (actor.fsdp_config.fsdp_size, actor.ppo_mini_batch_size, "megatron" in actor) == (4, 32, False)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model_engine=dp", f"{KEYS['tp']}=2"], f"{KEYS['tp']} is a key of another engine; leave it out, or choose"),
        (["model_engine=dp", f"{KEYS['vpp']}=2"], f"{KEYS['vpp']} is a key of another engine; leave it out"),
        ([f"{KEYS['fsdp_size']}=4"], f"{KEYS['fsdp_size']} is a key of another engine"),
        # of config/machine/cpu.yaml
        ([f"{KEYS['attn_implementation']}=sdpa"], f"write \\+{KEYS['attn_implementation']}=VALUE"),
        ([f"{KEYS['rollout_executor']}=mp"], f"write \\+{KEYS['rollout_executor']}=VALUE"),
        (["lora=null"], "^lora is null, and null is no choice; leave it out, or name one"),
        (["lora="], "^lora is '', which does not exist; near it are r16; all: r16"),
    ],
)
def test_each_mistake_has_its_sentence(overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        compose_config([f"recipe={SEVEN}", *overrides])


def test_fp8_of_megatron_is_refused_with_fsdp2():
    (sentence,) = unknown_key_violations(compose_config([f"recipe={SEVEN}", "model_engine=dp", "precision=fp8"]))
    assert "only model_engine=megatron reads it; choose that, or leave out" in sentence and "precision=fp8" in sentence


def test_a_key_of_another_engine_is_told_in_the_supervised_stage_too():
    assert "choose that engine with engine=NAME" in unknown_key_sentence("optim.lr_decay_style", SFT)
