"""Each recipe: it composes, its name says what it configures, its layout divides, and it states differences only."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.composed import composed
from verl_medu1.checks.rewards import (
    estimator_violations,
    penalty_violations,
    reward_source_violations,
    scoring_violations,
    trainer_violations,
)
from verl_medu1.checks.settings import setting_violations
from verl_medu1.config.compose import settings_in
from verl_medu1.config.keys import legacy_violations, unknown_key_violations, unread_key_violations
from verl_medu1.config.needs import kernels_of, usual_needs
from verl_medu1.config.recipes import SFT, TRAIN, recipe_names
from verl_medu1.machine.doctor import Needs
from verl_medu1.machine.gpus import find_gpu
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.rules.fsdp import fsdp_violations
from verl_medu1.plan.rules.precision import precision_violations
from verl_medu1.plan.verdict import plan_of
from verl_medu1.verl_compat.versions import REQUIRED_VERL

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted({*recipe_names(), *recipe_names(SFT)})
NAME = re.compile(
    r"(?P<model>.+?)(?:-(?:release|alphamed|brief|checklist|consultation|lora|med-r3|medcco|s3|study|wingpt))?"
    r"-(?P<nodes>\d+)x(?P<gpus>\d+)(?P<gpu>h100|h200|a100|l40s)"
    r"-(?:fsdp2|tp(?P<tp>\d+)-pp(?P<pp>\d+)(?:-cp(?P<cp>\d+))?(?:-ep(?P<ep>\d+))?)"
)
GPU_RECIPES = [name for name in recipe_names() if NAME.fullmatch(name)]
CPU_RECIPES = (
    "advice-cpu",
    "alphamed-cpu",
    "capo-cpu",
    "consultation-cpu",
    "dosing-cpu",
    "images-cpu",
    "lookup-cpu",
    "med-r3-cpu",
    "medcco-cpu",
    "quickstart",
    "rarl-cpu",
    "s3-cpu",
    "smollm2-135m-cpu",
    "study-cpu",
)
GPUS = {"h100": "h100-80", "a100": "a100-80", "h200": "h200-141", "l40s": "l40s-48"}


MODELS = {
    "qwen2.5-3b": "Qwen/Qwen2.5-3B-Instruct",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
    "qwen2.5-14b": "Qwen/Qwen2.5-14B-Instruct",
    "qwen2.5-32b": "Qwen/Qwen2.5-32B-Instruct",
    "qwen2.5-72b": "Qwen/Qwen2.5-72B-Instruct",
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "llama-3.1-70b": "meta-llama/Llama-3.1-70B-Instruct",
    "qwen3-8b": "Qwen/Qwen3-8B",
    "qwen3-32b": "Qwen/Qwen3-32B",
    "qwen3-30b-a3b": "Qwen/Qwen3-30B-A3B",
    "qwen2.5-vl-3b": "Qwen/Qwen2.5-VL-3B-Instruct",
    "qwen2.5-vl-7b": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3-vl-8b": "Qwen/Qwen3-VL-8B-Instruct",
}


def takes_fp8(name: str) -> bool:
    """A100 has no FP8, Qwen2.5-72B's layers can't be shared out in blocks of 128; LoRA and FSDP2 are in BF16."""
    return not any(part in name for part in ("a100", "qwen2.5-72b", "lora", "fsdp2"))


def on_gpus(name: str, precision: str) -> DictConfig:
    """A recipe on GPUs; one for them is so, and has bf16, without a word: `test_gpus_and_bf16_are_the_default`."""
    machine = [] if name in GPU_RECIPES else ["machine=gpu"]
    return composed(f"recipe={name}", *machine, *([] if precision == "bf16" else [f"precision={precision}"]))


def parts(name: str) -> tuple[str, dict[str, Any]]:
    """Hub name of the model, and the sizes in a recipe's name."""
    found = NAME.fullmatch(name)
    assert found
    sizes = {key: int(value or 1) for key, value in found.groupdict().items() if key not in ("model", "gpu")}
    return MODELS[found["model"]], {**sizes, "gpu": found["gpu"]}


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def stated(file: Path) -> dict[str, Any]:
    """What a file sets, without its defaults list."""
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(content, dict)
    content.pop("defaults", None)
    return dict(leaves(content))


def test_the_models_of_the_table_have_a_recipe():
    assert {NAME.fullmatch(name)["model"] for name in GPU_RECIPES} == set(MODELS)


def test_every_training_recipe_for_gpus_has_a_name_that_says_its_layout():
    assert set(recipe_names()) - set(GPU_RECIPES) == {*CPU_RECIPES}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_recipe_has_a_readme(name):
    assert (ROOT / "recipes" / name / "README.md").read_text().startswith(f"# {name}\n")


def test_all_recipes_have_one_pin_which_is_the_verl_that_is_required():
    """The file is verl's convention for recipes."""
    pins = list((ROOT / "recipes").rglob("REQUIRED_VERL.txt"))
    assert pins == [ROOT / "recipes" / "REQUIRED_VERL.txt"]
    assert f"PIP_INSTALL=verl=={REQUIRED_VERL}\n" in pins[0].read_text()


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_readme_says_how_to_start_and_what_is_not_verified(name):
    text = (ROOT / "recipes" / name / "README.md").read_text()
    assert f"`medu1 train recipe={name}`" in text and "not run on GPUs yet" in text
    assert ("`precision=fp8`" in text) == takes_fp8(name) or "release" in name


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_name_agrees_with_the_configuration(name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    assert config.trainer.experiment_name == name
    assert config.actor_rollout_ref.model.path == model
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (sizes["nodes"], sizes["gpus"])
    actor = config.actor_rollout_ref.actor
    assert (actor.strategy == "fsdp2") == name.endswith("-fsdp2")
    if actor.strategy == "fsdp2":
        return
    megatron = actor.megatron
    assert megatron.tensor_model_parallel_size == sizes["tp"]
    assert megatron.pipeline_model_parallel_size == sizes["pp"]
    assert megatron.context_parallel_size == sizes["cp"]
    assert megatron.expert_model_parallel_size == sizes["ep"]


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("name", GPU_RECIPES)
def test_each_recipe_corrects_for_the_difference_between_rollout_and_trainer(name, precision):
    config = on_gpus(name, precision)
    correction = config.algorithm.rollout_correction
    assert (correction.rollout_is, correction.rollout_is_threshold, correction.bypass_mode) == ("token", 2.0, False)
    assert config.actor_rollout_ref.rollout.calculate_log_probs


@pytest.mark.parametrize(
    "overrides",
    [
        *((f"recipe={name}",) for name in recipe_names()),
        *((f"recipe={name}", "precision=fp8") for name in GPU_RECIPES if takes_fp8(name)),
    ],
    ids=" ".join,
)
def test_it_resolves_and_has_no_unknown_key(overrides):
    config = composed(*overrides)
    OmegaConf.to_container(config, resolve=True)
    assert config.trainer.v1.trainer_mode == "medu1_sync"
    checks = (
        unknown_key_violations, unread_key_violations, legacy_violations, setting_violations, trainer_violations,
        reward_source_violations, penalty_violations, estimator_violations, scoring_violations,
    )  # fmt: skip
    assert [violation for check in checks for violation in check(config)] == []


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "bf16") for name in GPU_RECIPES),
        *((name, "fp8") for name in GPU_RECIPES if takes_fp8(name)),
    ],
)
def test_a_recipe_breaks_no_rule_and_fits_by_its_plan(name, precision):
    config = on_gpus(name, precision)
    model, sizes = parts(name)
    plan = plan_of(find_architecture(model), find_gpu(GPUS[sizes["gpu"]]), settings_in(config))
    assert plan.problems == []


@pytest.mark.parametrize("name", [name for name in GPU_RECIPES if not takes_fp8(name)])
def test_fp8_is_refused_where_a_recipe_can_not_take_it(name):
    if name.endswith("-fsdp2"):
        found = list(unknown_key_violations(composed(f"recipe={name}", "precision=fp8")))
        assert found and all("only model_engine=megatron reads it" in sentence for sentence in found)
        return
    settings = settings_in(composed(f"recipe={name}", "precision=fp8"))
    model, sizes = parts(name)
    key = "fp8_recipe is 'blockwise'" if sizes["gpu"] == "a100" else "rollout.tensor_model_parallel_size is"
    key = "fp8 is 'hybrid' with actor_rollout_ref.model.lora.rank=16" if "lora" in name else key
    with pytest.raises(ValueError, match=key):
        plan_of(find_architecture(model), find_gpu(GPUS[sizes["gpu"]]), settings)


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_a_recipe_states_differences_only(name):
    base = composed("base=medical_rl")
    for key, value in stated(ROOT / "recipes" / name / TRAIN).items():
        assert OmegaConf.select(base, key) != value, f"{key} is {value} in the base already"


@pytest.mark.parametrize(
    "file",
    [
        *(f"verl_medu1/config/{name}.yaml" for name in ("base/medical_rl", "precision/fp8", "engine_on/gpu_megatron")),
        *(f"recipes/{name}/{TRAIN}" for name in GPU_RECIPES),
    ],
)
def test_every_key_is_one_that_verl_or_megatron_has(file):
    from megatron.core.optimizer import OptimizerConfig
    from megatron.core.transformer.transformer_config import TransformerConfig
    from verl.trainer.config import CheckpointConfig

    ours = composed("model_engine=megatron"), composed("model_engine=dp")
    fields = {
        "checkpoint": CheckpointConfig.__dataclass_fields__,
        "override_config": {"attn_implementation": "an argument of transformers' from_pretrained"},
        "override_transformer_config": TransformerConfig.__dataclass_fields__,
        "override_optimizer_config": OptimizerConfig.__dataclass_fields__,
    }
    for path in stated(ROOT / file):
        parent, _, key = path.rpartition(".")
        if parent == "data.mixture.weights":
            continue  # names of families, which the training rows decide
        if parent.startswith("episodes.settings"):  # those of an environment; tests/environments
            continue
        if parent.startswith("algorithm.constraints"):  # names of one's own; tests/checks/test_constraints.py
            continue
        nodes = [node for config in ours if (node := OmegaConf.select(config, parent)) is not None]
        name = parent.rpartition(".")[2]
        assert name == "env_vars" or key in fields.get(name, ()) or any(key in node for node in nodes), path


def test_what_wins_over_what():
    name = "recipe=qwen2.5-3b-release-1x8h100-tp1-pp1"
    rollout = composed("base=medical_rl").actor_rollout_ref.rollout
    assert (rollout.n, rollout.temperature, rollout.quantization) == (16, 1.0, None)
    rollout = composed(name, "precision=fp8").actor_rollout_ref.rollout
    assert (rollout.n, rollout.temperature, rollout.quantization) == (8, 0.6, "fp8")
    assert composed(name, "actor_rollout_ref.rollout.n=4").actor_rollout_ref.rollout.n == 4
    actor = composed(name, "variant=gspo").actor_rollout_ref.actor
    assert (actor.clip_ratio_high, actor.policy_loss.loss_mode, actor.use_kl_loss) == (4e-4, "gspo", True)
    assert composed(name, "variant=dapo").algorithm.length_penalty.where == "reward"  # the recipe has off
    actor = composed(name, "variant=gspo", "actor_rollout_ref.actor.clip_ratio_high=0.1").actor_rollout_ref.actor
    assert actor.clip_ratio_high == 0.1
    assert composed(name).actor_rollout_ref.actor.strategy == "megatron"
    assert composed(name).actor_rollout_ref.actor.optim.use_checkpoint_opt_param_scheduler is True


def test_precision_is_one_switch():
    name = "recipe=qwen3-8b-1x8h100-tp2-pp1"
    before, after = (
        dict(leaves(OmegaConf.to_container(composed(*overrides), resolve=True)))
        for overrides in ((name,), (name, "precision=fp8"))
    )
    fp8 = stated(ROOT / "verl_medu1/config/precision/fp8.yaml")
    assert {key: after[key] for key in fp8} == fp8
    # Nothing else changes but the reference model, which follows the actor.
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {key.replace("_ref.ref.", "_ref.actor.") for key in changed} <= fp8.keys()
    assert after["actor_rollout_ref.ref.megatron.override_transformer_config.fp8_recipe"] == "blockwise"


def test_recipes_for_the_cpu_are_as_they_were():
    for name in CPU_RECIPES:
        config = composed(f"recipe={name}")
        assert config == composed(f"recipe={name}", "precision=bf16")
        assert config.trainer.device == "cpu" and config.data.train_batch_size in (8, 12, 24)


@pytest.mark.parametrize("name", ["qwen2.5-7b-1x8h100-tp2-pp1", "qwen2.5-vl-3b-medcco-1x8h100-fsdp2"])
def test_gpus_and_bf16_are_the_default(name):
    assert composed(f"recipe={name}") == composed(f"recipe={name}", "machine=gpu", "precision=bf16")


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("name", [*GPU_RECIPES, "quickstart"])
def test_a_recipe_starts_with_what_install_gpu_installs(name, precision):
    """Transformer Engine, and neither Apex nor flash-attn: without a key of gpu_megatron.yaml, or of the recipes with
    FSDP2, a run would not start.
    """
    if precision == "fp8" and name.endswith("-fsdp2"):
        return
    installed = Machine(transformer_engine=True, apex=False, flash_attn=False)
    config = on_gpus(name, precision)
    settings = settings_in(config)
    if settings.strategy == "fsdp2":
        assert list(fsdp_violations(settings, None, installed)) == [] and kernels_of(config) == Needs()
        return
    assert list(precision_violations(settings, None, installed)) == []
    assert kernels_of(config) == usual_needs("gpu")


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_table_of_the_documentation_is_right(name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    data_parallel = sizes["nodes"] * sizes["gpus"] // (sizes["tp"] * sizes["pp"] * sizes["cp"])
    numbers = (sizes["tp"], sizes["pp"], sizes["cp"], data_parallel)
    row = [
        f"[{name}](../recipes/{name}/README.md)",
        model.split("/")[1],
        f"{sizes['nodes']} x {sizes['gpus']} {sizes['gpu'].upper()}",
        *map(str, numbers),
        str(config.actor_rollout_ref.rollout.tensor_model_parallel_size),
        "yes" if takes_fp8(name) else "no",
    ]
    assert f"| {' | '.join(row)} |" in (ROOT / "docs" / "recipes.md").read_text()


def test_the_table_has_no_other_recipe():
    listed = re.findall(r"^\| \[([^\]]+)\]", (ROOT / "docs" / "recipes.md").read_text(), re.M)
    assert sorted(listed) == sorted(GPU_RECIPES)


@pytest.mark.parametrize("name", [name for name in GPU_RECIPES if "-lora-" in name])
def test_a_recipe_with_lora_has_what_one_word_sets(name):
    """Hydra lets no recipe override a group that comes after it, so these recipes name the keys themselves."""
    recipe, group = composed(f"recipe={name}"), composed(f"recipe={name}", "lora=r16")
    assert recipe == group and settings_in(recipe).adapter_rank == 16


def test_each_rank_of_lora_has_its_keys_for_both_engines():
    """Hydra skips a file of lora_on that is not there, and all weights would be trained."""
    config = ROOT / "verl_medu1" / "config"
    wanted = {f"{rank.stem}_{engine}" for rank in (config / "lora").iterdir() for engine in ("dp", "megatron")}
    assert {file.stem for file in (config / "lora_on").iterdir()} == wanted and wanted
