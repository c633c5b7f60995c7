"""`medu1 plan`: recipes and models, its output, its picture, its time, and a sentence for each mistake."""

import json
import resource
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.composed import composed
from verl_medu1.cli.app import main
from verl_medu1.config.compose import compose_recipe, settings_in
from verl_medu1.config.recipes import recipe_names
from verl_medu1.plan.settings import OPTIMIZER
from verl_medu1.verl_compat import config_folder

TINY = {
    "model_type": "qwen2",
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 256,
    "vocab_size": 512,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
LORA = "actor_rollout_ref.model.lora"
SEVEN = ["--model", "Qwen2.5-7B-Instruct", "--gpus", "8"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command in this process."""

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["medu1", "plan", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return Done(left.value.code or 0, *capsys.readouterr())

    return command


@pytest.fixture
def tiny(tmp_path) -> str:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    return str(tmp_path)


def test_a_model_on_gpus(run):
    out = run(*SEVEN, "--tp", "2", "--pp", "2").stdout
    for part in ("TP 2 x PP 2 x CP 1 x DP 2", "training:", "weight sync:", "vLLM: 8 engines", "1,903,953,408"):
        assert part in out
    assert "Verdict: fits; the peak is training" in out and "…" not in out


def test_what_does_not_fit_lists_the_changes(run):
    out = run(*SEVEN, "data.max_response_length=15000").stdout
    assert "training needs" in out and "Verdict: fits with these changes" in out
    assert "recompute_granularity=full" in out


def test_json(run):
    found = json.loads(run(*SEVEN, "--tp", "4", "--json").stdout)
    assert found["verdict"] == "fits" and found["data_parallel_size"] == 2
    rank = found["ranks"][0]
    assert rank["parameters"] == 1_904_057_344
    assert rank["totals"]["training"] == pytest.approx(sum(rank["phases"]["training"].values()))


def test_a_recipe_is_planned_on_the_gpu_that_its_name_states(run):
    lora = "recipe=qwen2.5-7b-lora-1x1l40s-tp1-pp1"
    assert "on 1 x 1 l40s-48:" in run(lora).stdout
    assert "on 1 x 1 h200-141:" in run(lora, "--gpu", "h200-141").stdout
    assert "on 1 x 8 h100-80:" in run(*SEVEN).stdout


def test_what_does_not_fit_with_fsdp2_is_not_sent_to_the_search(run):
    out = run("--model", "Qwen2.5-72B-Instruct", "--gpus", "1", "model_engine=dp").stdout
    assert "does not fit" in out and "try more GPUs, or model_engine=megatron." in out and "--search" not in out


def test_a_search(run):
    out = run("--model", "Qwen2.5-32B-Instruct", "--gpus", "64", "--gpu", "h200-141", "--search").stdout
    assert "Layouts that fit" in out and "trainer.nnodes=8" in out
    found = json.loads(run(*SEVEN, "--search", "--json").stdout)
    assert found[0]["overrides"][0] == "trainer.nnodes=1" and len(found[0]["reasons"]) == 4


def test_what_a_search_proposes_is_taken_as_a_plan(run):
    overrides = json.loads(run(*SEVEN, "--search", "--json").stdout)[0]["overrides"]
    done = run("--model", "Qwen2.5-7B-Instruct", *(override.lstrip("+") for override in overrides))
    assert "Verdict: fits;" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["memory.svg", "memory.png"])
def test_a_picture(run, tmp_path, name):
    run(*SEVEN, "--pp", "2", "--plot", str(tmp_path / name))
    picture = (tmp_path / name).read_bytes()
    assert (
        picture.startswith(b"\x89PNG") if name.endswith("png") else b"pipeline stage" in picture or b"<svg" in picture
    )


def test_a_recipe_without_importing_verl(run, tiny):
    done = run("recipe=quickstart", "--model", tiny, "--json")
    found = json.loads(done.stdout)
    assert found["settings"]["actor_rollout_ref.actor.megatron.tensor_model_parallel_size"] == 2
    assert found["verdict"] == "fits" and found["gpu"]["name"] == "worker of this machine"
    heavy = "import sys; from verl_medu1.config.compose import compose_recipe; compose_recipe(['recipe=quickstart']); "
    heavy += "import verl_medu1.plan.search; print([m for m in ('verl', 'torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_composed_as_for_training(name):
    settings, path = compose_recipe([f"recipe={name}"])
    config = composed(f"recipe={name}")
    assert settings == settings_in(config)
    assert path == config.actor_rollout_ref.model.path


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        (SEVEN, 1.0),
        ([*SEVEN, "--json"], 1.0),
        (["recipe=quickstart"], 2.0),
        (["recipe=qwen2.5-72b-8x8h100-tp8-pp4"], 2.0),
    ],
)
def test_a_plan_takes_no_time(arguments, most, tiny):
    """Seconds of the processor, the best of three: a busy machine doubles what docs/plan.md has of an idle one."""
    if "recipe=quickstart" in arguments:
        arguments = [*arguments, "--model", tiny]
    command = [sys.executable, "-m", "verl_medu1.cli.app", "plan", *arguments]

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < most


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to plan: give recipe=NAME, or --model and --gpus."),
        (["--model", "nowhere"], "model 'nowhere' is not a folder with a config.json"),
        ([*SEVEN, "--gpu", "h100"], "--gpu is 'h100'; choose one of h100-80, h200-141, a100-80, l40s-48."),
        (
            ["--model", "Qwen3-8B", "--gpus", "12"],
            "--gpus is 12, which is no whole number of nodes of 8; give 8 or 16.",
        ),
        (
            [*SEVEN, "--tp", "8"],
            "tensor_model_parallel_size is 8, which does not divide the model's 28 attention heads",
        ),
        ([*SEVEN, "--tp", "0"], "tensor_model_parallel_size is 0; give a whole number of at least 1."),
        (
            [*SEVEN, "data.max_respons_length=1"],
            "is not a key that a plan looks at; near it are data.max_response_length",
        ),
        ([*SEVEN, "batch"], "'batch' is not of the form key=value."),
        ([*SEVEN, "data.max_response_length="], "data.max_response_length is null; give a whole number of at least 1."),
        ([*SEVEN, "data.max_response_length=", "--search"], "data.max_response_length is null; give a whole number"),
        ([*SEVEN, "data.max_response_length=[1"], "data.max_response_length is '[1', which is not a value in YAML"),
        (
            ["--model", "Qwen3-8B", "trainer.device=cpu", "trainer.n_gpus_per_node=0"],
            "n_gpus_per_node is 0; give a whole",
        ),
        (
            [*SEVEN, f"{OPTIMIZER}.use_precision_aware_optimizer=true", f"{OPTIMIZER}.exp_avg_dtype=fp8"],
            "exp_avg_dtype is 'fp8'; choose one of fp32, bf16, float32, bfloat16.",
        ),
        ([*SEVEN, "--plot", "memory.pdf"], "--plot is 'memory.pdf'; end it in .svg or .png."),
        (["recipe=nope"], "recipe is 'nope', which does not exist; near it are"),
        (["recipe=quickstart", "trainer.nope=1"], "trainer.nope is not a key; near it are "),
        ([*SEVEN, "actor_rollout_ref.actor.strategy=fsdp"], "strategy is 'fsdp'; planned are megatron and fsdp2."),
        (["--model", "Qwen3-30B-A3B", f"{LORA}.rank=8"], "LoRA of a model with experts was never tried here"),
        (
            ["--model", "Qwen3-30B-A3B", "actor_rollout_ref.actor.strategy=fsdp2"],
            "and FSDP2 of experts is not planned.",
        ),
        (
            ["--model", "outputs/nowhere/model"],
            "is not a folder with a config.json; `medu1 model` and `medu1 quickstart`",
        ),
        (
            [*SEVEN, f"{LORA}.rank=8", f"{LORA}.target_modules=[]"],
            "target_modules is empty, so that nothing is trained",
        ),
        ([*SEVEN, f"{LORA}.rank=8", f"{LORA}.type=dora"], "model.lora.type is 'dora'; planned is lora."),
        (
            [*SEVEN, f"{LORA}.rank=8", f"{LORA}.target_modules=['*.layers.0.*.linear_qkv']"],
            "lora.target_modules is ['*.layers.0.*.linear_qkv']; planned are lists of linear_qkv, linear_proj, ",
        ),
        (
            [*SEVEN, "actor_rollout_ref.actor.strategy=fsdp2", "--search"],
            "strategy is 'fsdp2', and layouts are searched for Megatron alone; leave --search out, or set",
        ),
        (
            [*SEVEN, "model_engine=dp", "--tp", "2"],
            "tensor_model_parallel_size is 2, which FSDP2 does not read; leave it",
        ),
        (
            [*SEVEN, "model_engine=dp", "--cp", "2"],
            "context_parallel_size is 2, which FSDP2 does not read; set actor_rollout_ref.actor.ulysses_sequence_",
        ),
        ([*SEVEN, "model_engine=nope"], "model_engine is 'nope'; planned are megatron and dp."),
        ([*SEVEN, "--search", "--tp", "2"], "--tp is given, and --search tries all layouts; leave one of them out."),
        (
            [*SEVEN, "--search", "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=2"],
            "pipeline_model_parallel_size is given, and --search tries all layouts",
        ),
        (
            [*SEVEN, f"{LORA}_rank=16"],
            f"lora_rank is 16, which Megatron does not read; set {LORA}.rank, or model_engine=dp.",
        ),
        ([*SEVEN, f"{LORA}_rank=16", "--search"], "lora_rank is 16, which Megatron does not read"),
        (
            [*SEVEN, "model_engine=dp", f"{LORA}.rank=16"],
            f"lora.rank is 16, which FSDP2 does not read; set {LORA}_rank, or model_engine=megatron.",
        ),
        ([*SEVEN[:2], "--gpus", "0"], "--gpus is 0; give a whole number of at least 1."),
        ([*SEVEN[:2], "--gpus", "-3"], "--gpus is -3; give a whole number of at least 1."),
        (["recipe=quickstart", "--model", "Qwen3-8B", "--search"], "--search is for GPUs, and trainer.device is 'cpu'"),
        (
            ["--model", "Qwen2.5-72B-Instruct", "--gpus", "2", "--search"],
            "no layout of Qwen/Qwen2.5-72B-Instruct fits 2",
        ),
    ],
)
def test_each_mistake_has_its_sentence(run, arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert sentence in done.stderr and done.stderr.startswith("medu1: ")
    assert done.stderr.count("medu1: ") == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "has a config.json that is not an object with keys; write it again."),
        (
            TINY | {"hidden_size": "128"},
            "has hidden_size '128' in its config.json; it must be a whole number from 1 to",
        ),
        (TINY | {"num_attention_heads": 0}, "has num_attention_heads 0 in its config.json; it must be a whole number"),
        ({"model_type": "qwen2"}, "lacks 'num_attention_heads' in its config.json"),
    ],
)
def test_a_config_that_has_no_dimensions_is_one_sentence(run, tmp_path, content, sentence):
    (tmp_path / "config.json").write_text(json.dumps(content))
    done = run("--model", str(tmp_path), "--gpus", "8")
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr


def test_without_verl_a_recipe_is_refused(monkeypatch):
    monkeypatch.setattr(config_folder, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"verl is not installed, .* `medu1 plan` takes --model and --gpus"):
        compose_recipe(["recipe=quickstart"])
