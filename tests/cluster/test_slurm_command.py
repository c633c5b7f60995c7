"""`medu1 slurm`: what it shows and what it refuses before Slurm hears of it. tests/slurm submits for real."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml

from verl_medu1.checks import model as checks
from verl_medu1.cli.app import main
from verl_medu1.cluster.site import example_sites
from verl_medu1.plan import verdict

SITE = str(example_sites() / "gres-infiniband.yaml")
SEVEN = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs the command in this process, in an empty folder and without Slurm's commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medu1", "slurm", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return command


@pytest.fixture(scope="module")
def mixture(tmp_path_factory) -> Path:
    """Prepared questions of the three answer types, by the command that prepares them."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    command = [sys.executable, "-m", "verl_medu1.cli.app", "prepare", "--source", "quickstart", "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return folder


def files(folder: Path) -> list[str]:
    return [f"data.train_files={folder}/train.parquet", f"data.val_files={folder}/test.parquet"]


def test_a_dry_run_shows_the_job_and_leaves_nothing(run, tmp_path):
    code, out, _ = run(SEVEN, "--site", SITE, "--dry-run", "--time", "2:00:00", "data.seed=3")
    assert code == 0 and out.startswith("#!/usr/bin/env bash\n")
    assert "#SBATCH --time=2:00:00\n" in out and "\n  data.seed=3 " in out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_composes_once_and_asks_the_rules_once(run, monkeypatch):
    calls: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(hydra, "compose")
    for module in (verdict, checks):
        count(module, "find_violations")
    assert run(SEVEN, "--site", SITE, "--dry-run")[0] == 0
    assert calls == {"compose": 1, "find_violations": 1}


def test_the_site_may_be_in_the_environment(run, monkeypatch):
    monkeypatch.setenv("MEDU1_SITE", SITE)
    assert "#SBATCH --account=med-rl" in run(SEVEN, "--dry-run")[1]


def test_what_is_checked_passes_on_to_sbatch(run, mixture):
    code, out, err = run(SEVEN, "--site", SITE, *files(mixture))
    assert "It fits; by the plan a step takes at least" in out, err
    assert code == 2 and "sbatch is not found; run this on a login node of the cluster, or show with --dry-run." in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([SEVEN], "data.train_files is 'data/mixture/train.parquet', and there is no such file"),
        (["recipe=nope"], "recipe is 'nope', which does not exist; near it are"),
        ([SEVEN, "trainer.nope=1"], "trainer.nope is not a key; near it are "),
        ([SEVEN, "--time", "soon"], "--time is 'soon'; give D-HH:MM:SS"),
        ([SEVEN, "--site", "nowhere.yaml"], "--site is 'nowhere.yaml', and there is no such file; copy one of"),
    ],
)
def test_each_mistake_has_its_sentence(run, arguments, sentence):
    site = [] if "--site" in arguments else ["--site", SITE]
    code, _, err = run(*arguments, *site)
    assert code == 2 and sentence in err and "Traceback" not in err


def test_what_does_not_fit_is_not_submitted(run, mixture):
    transformer = "actor_rollout_ref.actor.megatron.override_transformer_config"
    overrides = [f"{transformer}.recompute_granularity=null", "data.max_response_length=15000"]
    overrides += [
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=32768",
        "actor_rollout_ref.rollout.max_model_len=17048",
    ]
    code, _, err = run(SEVEN, "--site", SITE, *files(mixture), *overrides)
    assert code == 2 and "the run does not fit on h100-80: training needs" in err and "Add actor" in err


def test_a_kind_of_gpu_that_has_no_fp8_is_refused(run, mixture, tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text(yaml.safe_dump({"gpu": "a100-80"}))
    code, _, err = run(SEVEN, "precision=fp8", "--site", str(site), *files(mixture))
    assert code == 2 and "needs compute capability 9.0 or more, and the GPU has 8.0" in err


MODEL = "actor_rollout_ref.model.path"
# A model with experts of a kind that is not planned.
EXPERTS = {
    "model_type": "mixtral",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_local_experts": 8,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
}
LLAMA = {name: value for name, value in EXPERTS.items() if name != "num_local_experts"} | {"model_type": "llama"}


@pytest.mark.parametrize("name", ["google/medgemma-27b-text-it", "somebody/my-own", "experts"])
def test_what_can_not_be_planned_can_be_submitted(run, mixture, tmp_path, name):
    if name == "experts":
        name = str(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps(EXPERTS))
    command = [SEVEN, f"{MODEL}={name}", "--site", SITE]
    code, out, err = run(*command, *files(mixture))
    assert code == 2 and "sbatch is not found" in err and "It fits" not in out
    warning = f"medu1: memory was not planned: model '{name}' "
    assert warning in err
    code, out, shown = run(*command, "--dry-run")
    assert code == 0 and out.startswith("#!") and shown.startswith(warning)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"])
def test_models_that_people_train_are_planned_by_name(run, mixture, name):
    _, out, err = run(SEVEN, f"{MODEL}={name}", "--site", SITE, *files(mixture))
    assert "It fits" in out and "not planned" not in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "has a config.json that is not valid JSON"),
        (json.dumps(LLAMA), "lacks 'intermediate_size'"),
        (
            json.dumps(LLAMA | {"intermediate_size": 8192, "num_attention_heads": 5, "num_key_value_heads": 5}),
            "the model's 5 attention heads",
        ),
    ],
)
def test_what_is_wrong_with_a_model_is_refused(run, mixture, tmp_path, content, sentence):
    (tmp_path / "config.json").write_text(content)
    code, _, err = run(SEVEN, f"{MODEL}={tmp_path}", "--site", SITE, *files(mixture))
    assert code == 2 and sentence in err and "sbatch" not in err and "Traceback" not in err


def test_a_dry_run_says_what_would_be_refused(run):
    tp = "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=8"
    code, out, err = run(SEVEN, tp, "--site", SITE, "--dry-run")
    assert code == 0 and out.startswith("#!") and "this job would be refused: " in err and "28 attention heads" in err


def test_an_offline_site_needs_the_model_on_a_disk(run, mixture, tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text(yaml.safe_dump({"offline": True, "environment": {"HF_HOME": str(tmp_path / "hf")}}))
    command = [SEVEN, "--site", str(site), *files(mixture)]
    code, _, err = run(*command)
    assert code == 2 and "the site is offline" in err and "hf download Qwen/Qwen2.5-7B-Instruct" in err
    snapshot = tmp_path / "hf/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({}))
    assert "sbatch is not found" in run(*command)[2]


def test_without_torch_a_login_node_can_submit(mixture, tmp_path):
    """torch, vLLM and Ray hidden; of verl only its configuration is read."""
    hide = (
        "import sys, importlib.abc\n"
        "class Hidden(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'vllm', 'ray', 'transformers'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from verl_medu1.cli.app import main; main()\n"
    )
    command = [sys.executable, "-c", hide, "slurm", SEVEN, "--site", SITE, *files(mixture)]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": ""}, capture_output=True, text=True, timeout=60
    )
    assert "It fits" in done.stdout and "sbatch is not found" in done.stderr


def test_a_judge_on_the_nodes_has_gpus_of_its_own(run, monkeypatch, mixture):
    monkeypatch.setenv("MEDU1_JUDGE_MODEL", "Qwen/Qwen2.5-7B-Instruct")
    monkeypatch.setenv("MEDU1_JUDGE_GPUS", "4")
    code, _, err = run(SEVEN, "--site", SITE, "--dry-run")
    assert code == 2 and err.startswith(
        "medu1: trainer.n_gpus_per_node is 8 and MEDU1_JUDGE_GPUS is 4, and a node of the site has 8 GPUs; lower "
        "trainer.n_gpus_per_node to 4 or less, or serve the judge elsewhere"
    )
    four = "trainer.n_gpus_per_node=4"
    code, out, err = run(SEVEN, "--site", SITE, "--dry-run", four)
    assert code == 0 and "#SBATCH --gres=gpu:h100:8\n" in out and "#SBATCH --cpus-per-task=96\n" in out, err
    assert "export MEDU1_JUDGE_MODEL=Qwen/Qwen2.5-7B-Instruct\n" in out and "export MEDU1_JUDGE_GPUS=4\n" in out
    # The job itself knows the port and the key.
    assert "scoring.judge" not in out
    code, out, err = run(SEVEN, "--site", SITE, four, *files(mixture))
    assert "Judge: Qwen/Qwen2.5-7B-Instruct on GPUs of its own, 4 of each node; each has 3.5 GiB" in out, err
    # What the job would refuse with a judge is refused here.
    code, _, err = run(SEVEN, "--site", SITE, four, *files(mixture), "trainer.v1.trainer_mode=sync")
    assert code == 2 and "set scoring.judge.base_url=null" in err
