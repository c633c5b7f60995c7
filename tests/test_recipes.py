"""Each recipe: it composes, its name says what it configures, its layout divides, and it states differences only."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks import _key_violations
from verl_medu1.recipe_group import SFT, TRAIN, recipe_names, register_recipes
from verl_medu1.reward_checks import estimator_violations, penalty_violations, scoring_violations, trainer_violations

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = sorted({*recipe_names(), *recipe_names(SFT)})
NAME = re.compile(
    r"(?P<model>.+?)(?:-(?:release|alphamed))?-(?P<nodes>\d+)x(?P<gpus>\d+)(?P<gpu>h100|h200|a100)"
    r"-tp(?P<tp>\d+)-pp(?P<pp>\d+)(?:-cp(?P<cp>\d+))?"
)
GPU_RECIPES = [name for name in recipe_names() if NAME.fullmatch(name)]
MEMORY_GB = {"h100": 80, "a100": 80, "h200": 141}


@dataclasses.dataclass(frozen=True)
class Model:
    """Dimensions as the model's config.json on the hub has them; each head has 128."""

    path: str
    hidden: int
    layers: int
    heads: int
    groups: int
    ffn: int
    vocab: int
    positions: int

    @property
    def parameters(self) -> int:
        attention = self.hidden * 128 * (2 * self.heads + 2 * self.groups)
        return self.layers * (attention + 3 * self.hidden * self.ffn) + 2 * self.vocab * self.hidden


MODELS = {
    "qwen2.5-3b": Model("Qwen/Qwen2.5-3B-Instruct", 2048, 36, 16, 2, 11008, 151936, 32768),
    "qwen2.5-7b": Model("Qwen/Qwen2.5-7B-Instruct", 3584, 28, 28, 4, 18944, 152064, 32768),
    "qwen2.5-14b": Model("Qwen/Qwen2.5-14B-Instruct", 5120, 48, 40, 8, 13824, 152064, 32768),
    "qwen2.5-32b": Model("Qwen/Qwen2.5-32B-Instruct", 5120, 64, 40, 8, 27648, 152064, 32768),
    "qwen2.5-72b": Model("Qwen/Qwen2.5-72B-Instruct", 8192, 80, 64, 8, 29568, 152064, 32768),
    "llama-3.1-8b": Model("meta-llama/Llama-3.1-8B-Instruct", 4096, 32, 32, 8, 14336, 128256, 131072),
    "llama-3.1-70b": Model("meta-llama/Llama-3.1-70B-Instruct", 8192, 80, 64, 8, 28672, 128256, 131072),
    "qwen3-8b": Model("Qwen/Qwen3-8B", 4096, 36, 32, 8, 12288, 151936, 40960),
    "qwen3-32b": Model("Qwen/Qwen3-32B", 5120, 64, 64, 8, 25600, 151936, 40960),
}


def takes_fp8(name: str) -> bool:
    """A100 has no FP8, and Qwen2.5-72B's feed-forward layer can't be shared out in blocks of 128."""
    return "a100" not in name and not name.startswith("qwen2.5-72b")


@pytest.fixture(scope="module")
def composed():
    """Composes overrides of the primary configuration, each once."""
    register_recipes()
    GlobalHydra.instance().clear()
    found: dict[tuple[str, ...], DictConfig] = {}
    with initialize_config_module("verl_medu1.config", version_base="1.3"):

        def get(*overrides: str) -> DictConfig:
            if overrides not in found:
                found[overrides] = compose("medu1", overrides=list(overrides))
            return found[overrides]

        yield get


def parts(name: str) -> tuple[Model, dict[str, Any]]:
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
    assert set(recipe_names()) - set(GPU_RECIPES) == {"quickstart", "smollm2-135m-cpu"}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_recipe_has_a_readme_and_a_pin(name):
    folder = ROOT / "recipes" / name
    assert (folder / "README.md").read_text().startswith(f"# {name}\n")
    pin = (ROOT / "recipes" / "quickstart" / "REQUIRED_VERL.txt").read_text()
    assert (folder / "REQUIRED_VERL.txt").read_text() == pin and "PIP_INSTALL=verl==0.9.1" in pin


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_readme_says_how_to_start_and_what_is_not_verified(name):
    text = (ROOT / "recipes" / name / "README.md").read_text()
    assert f"`medu1 train recipe={name}`" in text and "not run on GPUs yet" in text
    assert ("`precision=fp8`" in text) == takes_fp8(name) or "release" in name


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_name_agrees_with_the_configuration(composed, name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    megatron = config.actor_rollout_ref.actor.megatron
    assert config.trainer.experiment_name == name
    assert config.actor_rollout_ref.model.path == model.path
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (sizes["nodes"], sizes["gpus"])
    assert megatron.tensor_model_parallel_size == sizes["tp"]
    assert megatron.pipeline_model_parallel_size == sizes["pp"]
    assert megatron.context_parallel_size == sizes["cp"]


@pytest.mark.parametrize(
    "overrides",
    [
        *((f"recipe={name}",) for name in recipe_names()),
        *((f"recipe={name}", "precision=fp8") for name in GPU_RECIPES if takes_fp8(name)),
    ],
    ids=" ".join,
)
def test_it_resolves_and_has_no_unknown_key(composed, overrides):
    config = composed(*overrides)
    OmegaConf.to_container(config, resolve=True)
    assert config.trainer.v1.trainer_mode == "medu1_sync"
    checks = (_key_violations, trainer_violations, penalty_violations, estimator_violations, scoring_violations)
    assert [violation for check in checks for violation in check(config)] == []


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_layout_divides(composed, name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    tp, pp, cp = sizes["tp"], sizes["pp"], sizes["cp"]
    world = sizes["nodes"] * sizes["gpus"]
    data_parallel, rest = divmod(world, tp * pp * cp)
    actor, rollout, data = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout, config.data
    assert rest == 0 and data_parallel >= 1 and tp <= sizes["gpus"]
    assert model.heads % tp == 0 and (model.groups % tp == 0 or tp % model.groups == 0)
    # The vocabulary is not padded.
    assert model.ffn % tp == 0 and model.vocab % tp == 0 and model.layers % pp == 0
    assert actor.ppo_mini_batch_size * rollout.n % data_parallel == 0
    assert data.train_batch_size * rollout.n % data_parallel == 0
    assert data.train_batch_size % actor.ppo_mini_batch_size == 0
    rollout_tp = rollout.tensor_model_parallel_size
    assert model.heads % rollout_tp == 0 and sizes["gpus"] % rollout_tp == 0
    longest = data.max_prompt_length + data.max_response_length
    assert longest == rollout.max_model_len <= model.positions
    # A group of context parallel ranks shares what each of them may hold.
    assert actor.ppo_max_token_len_per_gpu * cp >= longest


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_what_an_update_keeps_leaves_a_third_of_the_memory(composed, name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    world = sizes["nodes"] * sizes["gpus"]
    # Weights in bfloat16, gradients and the distributed optimizer's three copies in float32.
    kept = 6 * model.parameters / (sizes["tp"] * sizes["pp"]) + 12 * model.parameters / world
    memory = MEMORY_GB[sizes["gpu"]] * 1e9
    assert kept < 2 / 3 * memory
    rollout = config.actor_rollout_ref.rollout
    weights = 2 * model.parameters / rollout.tensor_model_parallel_size
    cache = 4 * 128 * model.layers * model.groups / min(rollout.tensor_model_parallel_size, model.groups)
    assert rollout.gpu_memory_utilization * memory - weights > 2 * cache * rollout.max_model_len


@pytest.mark.parametrize("name", [name for name in GPU_RECIPES if takes_fp8(name)])
def test_fp8_blocks_divide(composed, name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    # Transformer Engine: the last dimension of each shard in sixteens.
    assert all(size // sizes["tp"] % 16 == 0 for size in (model.ffn, 128 * model.heads)) and model.hidden % 16 == 0
    # vLLM (validate_fp8_block_shape): each shard in blocks of 128.
    rollout_tp = config.actor_rollout_ref.rollout.tensor_model_parallel_size
    assert model.ffn % (128 * rollout_tp) == 0 and model.hidden % 128 == 0


def test_why_qwen2_5_72b_takes_no_fp8():
    assert [tp for tp in (2, 4, 8) if MODELS["qwen2.5-72b"].ffn % (128 * tp) == 0] == []


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_a_recipe_states_differences_only(composed, name):
    base = composed("base=medical_rl")
    for key, value in stated(ROOT / "recipes" / name / TRAIN).items():
        assert OmegaConf.select(base, key) != value, f"{key} is {value} in the base already"


@pytest.mark.parametrize(
    "file",
    [
        *(f"verl_medu1/config/{name}.yaml" for name in ("base/medical_rl", "precision/fp8")),
        *(f"recipes/{name}/{TRAIN}" for name in GPU_RECIPES),
    ],
)
def test_every_key_is_one_that_verl_or_megatron_has(composed, file):
    from megatron.core.optimizer import OptimizerConfig
    from megatron.core.transformer.transformer_config import TransformerConfig

    ours = composed("model_engine=megatron")
    fields = {
        "override_transformer_config": TransformerConfig.__dataclass_fields__,
        "override_optimizer_config": OptimizerConfig.__dataclass_fields__,
    }
    for path in stated(ROOT / file):
        parent, _, key = path.rpartition(".")
        node = OmegaConf.select(ours, parent)
        name = parent.rpartition(".")[2]
        assert name == "env_vars" or key in fields.get(name, ()) or key in node, path


def test_what_wins_over_what(composed):
    name = "recipe=qwen2.5-3b-release-1x8h100-tp1-pp1"
    rollout = composed("base=medical_rl").actor_rollout_ref.rollout
    assert (rollout.n, rollout.temperature, rollout.quantization) == (16, 1.0, None)
    rollout = composed(name, "precision=fp8").actor_rollout_ref.rollout
    assert (rollout.n, rollout.temperature, rollout.quantization) == (8, 0.6, "fp8")
    assert composed(name, "actor_rollout_ref.rollout.n=4").actor_rollout_ref.rollout.n == 4
    assert composed(name).actor_rollout_ref.actor.strategy == "megatron"
    assert composed(name).actor_rollout_ref.actor.optim.use_checkpoint_opt_param_scheduler is True


def test_precision_is_one_switch(composed):
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


def test_recipes_for_the_cpu_are_as_they_were(composed):
    for name in ("quickstart", "smollm2-135m-cpu"):
        config = composed(f"recipe={name}")
        assert config == composed(f"recipe={name}", "precision=bf16")
        assert config.trainer.device == "cpu" and config.data.train_batch_size in (8, 12)


@pytest.mark.parametrize("name", GPU_RECIPES)
def test_the_table_of_the_documentation_is_right(composed, name):
    config = composed(f"recipe={name}")
    model, sizes = parts(name)
    data_parallel = sizes["nodes"] * sizes["gpus"] // (sizes["tp"] * sizes["pp"] * sizes["cp"])
    numbers = (sizes["tp"], sizes["pp"], sizes["cp"], data_parallel)
    row = [
        f"[{name}](../recipes/{name}/README.md)",
        model.path.split("/")[1],
        f"{sizes['nodes']} x {sizes['gpus']} {sizes['gpu'].upper()}",
        *map(str, numbers),
        str(config.actor_rollout_ref.rollout.tensor_model_parallel_size),
        "yes" if takes_fp8(name) else "no",
    ]
    assert f"| {' | '.join(row)} |" in (ROOT / "docs" / "recipes.md").read_text()


def test_the_table_has_no_other_recipe():
    listed = re.findall(r"^\| \[([^\]]+)\]", (ROOT / "docs" / "recipes.md").read_text(), re.M)
    assert sorted(listed) == sorted(GPU_RECIPES)
