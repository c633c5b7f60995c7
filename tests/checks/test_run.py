"""Wrong inputs of a training run: one clear sentence each, before anything is started."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verl_medu1.checks import machine, run, stack
from verl_medu1.checks.model import layout_violations, memory_warning
from verl_medu1.checks.run import check
from verl_medu1.checks.stack import require_verl
from verl_medu1.config.recipes import SFT, recipe_names
from verl_medu1.machine.machine import Machine

AGENT = "actor_rollout_ref.rollout.agent"


@pytest.mark.parametrize("engine", ["megatron", "dp"])
def test_a_right_configuration_passes(configure, engine):
    check(configure(f"model_engine={engine}"))


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.v1.trainer_mode=medu1_colocate_async"],
        ["trainer.v1.trainer_mode=sync", "algorithm.length_penalty.weight=0"],
        [
            "data.mixture.by=data_source",
            "data.mixture.weights={quickstart-calc: 2, quickstart-mcq: 1, quickstart-open: 1}",
        ],
        [
            "data.mixture.by=ability",
            "data.mixture.stages=[{families: [calculation, multiple_choice], share: 1}, "
            "{families: [open_ended], share: 2}]",
        ],
    ],
)
def test_a_right_trainer_passes(configure, overrides):
    check(configure(*overrides))


@pytest.mark.parametrize(
    ("overrides", "strategy"),
    [
        ([], "megatron"),
        (["model_engine=dp"], "fsdp2"),
        (["recipe=smollm2-135m-cpu"], "fsdp2"),
        (["recipe=smollm2-135m-cpu", "model_engine=megatron"], "megatron"),
    ],
)
def test_the_recipe_names_the_engine_and_the_command_line_changes_it(configure, overrides, strategy):
    actor = configure(*overrides).actor_rollout_ref.actor
    assert actor.strategy == strategy
    # engine_on follows the engine.
    dtype = actor.megatron.dtype if strategy == "megatron" else actor.fsdp_config.dtype
    assert dtype == "float32"


MEGATRON = "actor_rollout_ref.actor.megatron"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data.train_files=nowhere.parquet"], r"data\.train_files is 'nowhere\.parquet', and there is no such file"),
        (
            [f"{MEGATRON}.tensor_model_parallel_size=3", "trainer.n_gpus_per_node=3"],
            r"is 3, which does not divide .* 4",
        ),
        (
            [f"{MEGATRON}.pipeline_model_parallel_size=3", "trainer.n_gpus_per_node=6"],
            r"2 layers; choose one of 1, 2, or set .*first_pipeline_stage",
        ),
        ([f"{MEGATRON}.tensor_model_parallel_size=4"], "does not divide the 2 workers"),
        (["actor_rollout_ref.actor.ppo_mini_batch_size=24"], r"is 24, more than data\.train_batch_size"),
        (
            ["actor_rollout_ref.actor.ppo_max_token_len_per_gpu=200"],
            r"is 200, less than .*\(256\); raise it to at least",
        ),
        ([f"+{MEGATRON}.override_transformer_config.fp8=hybrid"], r"fp8 is 'hybrid', and trainer\.device is 'cpu'"),
        (
            [f"+{MEGATRON}.override_transformer_config.fp8=hybrid", "trainer.device=cuda"],
            r"Transformer Engine can't be imported here, which Megatron-Bridge needs on GPUs",
        ),
        (["actor_rollout_ref.rollout.tensor_model_parallel_size=2"], "is 'uni', one process, with 2 .* set it to mp"),
        (["data.max_response_length=4000"], "more than the model's 512 positions"),
        (["data.train_batch_size=100"], "the training files have 64 rows"),
        (["data.mixture.by=topic"], r"mixture\.by is 'topic'; choose data_source, ability, level or stage, or null"),
        (["data.mixture.weights={calculation: 1}"], r"mixture\.weights is set and data\.mixture\.by is null"),
        (
            ["data.mixture.by=ability", "data.mixture.weights={calculation: 1, open_ended: 1}"],
            r"mixture\.weights lacks 'multiple_choice'; the training rows have calculation, multiple_choice, open",
        ),
        (
            ["data.mixture.by=ability", "data.mixture.weights={calculation: 0, multiple_choice: 1, open_ended: 1}"],
            r"mixture\.weights\.calculation is 0; it must be a number above 0",
        ),
        (
            ["data.mixture.by=ability", "data.train_batch_size=2", "actor_rollout_ref.actor.ppo_mini_batch_size=2"],
            r"train_batch_size is 2, .*calculation, multiple_choice, open_ended; raise it to at least 3",
        ),
        (
            ["data.mixture.by=ability", "data.mixture.stages=[{families: [calculation, multiple_choice], share: 1}]"],
            r"mixture\.stages leaves 'open_ended' out",
        ),
        (
            ["data.mixture.by=ability", "data.mixture.stages=[{families: [sums], share: 0}]"],
            r"stages\[0\]\.share is 0; it must .*\n.*stages\[0\] names 'sums'; the training rows have calculation",
        ),
        (["data.mixture.by=ability", "data.mixture.stages=[first]"], r"stages\[0\] is 'first'; give it families and"),
        (
            ["data.mixture.by=ability", "data.mixture.stages=[{families: calculation, share: 1}]"],
            r"stages\[0\] is {'families': 'calculation', 'share': 1}; give it .* {families: \[calculation\], share",
        ),
        (
            ["data.mixture.by=ability", "data.mixture.stages={families: [calculation], share: 1}"],
            r"stages is {.*}; give a list of stages, such as \[{families: \[calculation\], share: 1}\]\.$",
        ),
        (
            ["data.mixture.by=ability", "data.mixture.weights=[calculation]"],
            r"weights is \['calculation'\]; give families with weights, such as {calculation: 1}\.$",
        ),
        (
            ["data.mixture.by=ability", "data.mixture.weights={calculation: '2', multiple_choice: 1, open_ended: 1}"],
            r"mixture\.weights\.calculation is '2'; it must be a number above 0",
        ),
        (["algorithm.length_penalty.per_source=[1]"], r"per_source is \[1\]; give sources with .*{MedQA: 0\.5}\.$"),
        (["algorithm.length_penalty.weight='0.1'"], r"weight is '0\.1'; it must be a number of at least 0\.$"),
        (
            ["data.mixture.by=ability", "trainer.v1.trainer_mode=sync", "algorithm.length_penalty.where=off"],
            "trainer_mode is 'sync', which leaves data.mixture out; use medu1_sync",
        ),
        (["algorithm.length_penalty.name=nope"], "choose one of alp, dapo_overlong"),
        (["algorithm.length_penalty.where=prompt"], "choose one of off, advantage, reward"),
        (["algorithm.length_penalty.weight=-1"], r"length_penalty\.weight is -1; it must be a number of at least 0"),
        (
            ["trainer.v1.trainer_mode=nope"],
            "trainer_mode is 'nope'; choose medu1_sync or medu1_colocate_async, or sync",
        ),
        (["trainer.v1.trainer_mode=sync"], "trainer_mode is 'sync', verl's own, which leaves algorithm.length_penalty"),
        (["algorithm.length_penalty.free_share=1"], r"free_share is 1; it must be a number of at least 0 and below 1"),
        (["algorithm.length_penalty.free_share=half"], r"free_share is 'half'; it must be a number"),
        (["algorithm.length_penalty.weight=nan"], r"length_penalty\.weight is nan; it must be a number"),
        (["algorithm.length_penalty.per_source={MedQA: -1}"], r"per_source\.MedQA is -1; it must be"),
        (
            ["algorithm.length_penalty.per_source={nowhere: 1}"],
            r"names 'nowhere', which is not a data source; known are",
        ),
        (
            ["algorithm.length_penalty.name=med_u1_max"],
            "'med_u1_max', which is for questions with budget max, and the data has exact only",
        ),
        (["algorithm.adv_estimator=gdpo"], "hands no components; use medu1_gdpo"),
        (
            ["algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=length"],
            r"gdpo_reward_keys is 'length'; give a list, such as \[acc, format\]\.$",
        ),
        (["algorithm.adv_estimator=medu1_gdpo"], r"gdpo_reward_keys is empty; name components of score, acc, format"),
        (
            ["algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=[acc,tone]"],
            "gdpo_reward_keys has 'tone'; choose from score, acc, format",
        ),
        (
            [
                "algorithm.adv_estimator=medu1_gdpo",
                "algorithm.gdpo_reward_keys=[acc,format]",
                "algorithm.gdpo_reward_weights=[1]",
            ],
            "gdpo_reward_weights has 1 numbers for 2",
        ),
        (["algorithm.length_penalty.weight=high"], r"length_penalty\.weight is 'high'; it must be a number"),
        (["algorithm.adv_estimator=grpoo"], r"adv_estimator is 'grpoo'; choose one of .*grpo.*medu1_gdpo"),
        (
            [
                "algorithm.adv_estimator=medu1_gdpo",
                "algorithm.gdpo_reward_keys=[acc]",
                "algorithm.length_penalty.where=reward",
            ],
            "where is 'reward', and GDPO looks at components only; name length_score",
        ),
        (["actor_rollout_ref.rollout.agent.default_agent_loop=medu1_seeded"], "enable_chunked_prefill is True, with"),
        (
            ["actor_rollout_ref.rollout.agent.default_agent_loop=medu1_seeded", "data.seed=null"],
            "data.seed is None, which .*=medu1_seeded starts from",
        ),
        (
            [f"{AGENT}.default_agent_loop=medu1_seeded", f"{AGENT}.agent_loop_config_path=null"],
            "agent_loop_config_path is None, which does not list medu1_seeded",
        ),
        (["scoring.scheme=release"], "scheme is 'release', which pays for length, and so does"),
        (
            [
                "scoring.judge.base_url=http://127.0.0.1:8000/v1",
                "scoring.judge.model=m",
                "scoring.judge.timeout_s=60s",
            ],
            "scoring.judge.timeout_s is '60s'; give a number of seconds above 0",
        ),
        (["scoring.min_spread=0"], "scoring.min_spread is 0; it must be a number above 0, or null"),
        (["scoring.min_spread=none"], "scoring.min_spread is 'none'; it must be a number above 0, or null"),
        (["scoring.scheme=nope"], "scoring.scheme: scheme 'nope' is unknown: use one of gated_binary"),
        (["scoring.judge.base_url=localhost:8000"], "scoring.judge.base_url is 'localhost:8000'; give an address"),
        (["scoring.judge.base_url=http://127.0.0.1:8000/v1"], "scoring.judge.model is ''; give the name of the model"),
        (["actor_rollout_ref.model.path=./nowhere"], "there is no model directory"),
        (
            ["+actor_rollout_ref.actor.clip_ration=0.3"],
            r"clip_ration is not a key of .*ActorConfig; near it are clip_",
        ),
        (
            ["model_engine=dp", f"+{MEGATRON}.tensor_model_parallel_size=2"],
            r"actor\.megatron is set, and only model_engine=megatron reads it",
        ),
        (["run_dir=/dev/null/run"], "is not a folder that can be written to"),
    ],
)
def test_each_mistake_has_its_sentence(configure, overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(configure(*overrides))


MODEL = "actor_rollout_ref.model.path"


def test_a_broken_model_is_refused_and_one_that_is_not_planned_is_not(configure, tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"has a config\.json that is not valid JSON"):
        check(configure(f"{MODEL}={tmp_path}"))
    layout = partial(layout_violations, machine=Machine())
    assert list(layout(configure(f"{MODEL}=somebody/my-own"))) == []


def test_memory_that_can_not_be_planned_is_a_warning(configure):
    assert memory_warning(configure(f"{MODEL}=somebody/my-own")) is None  # on the CPU
    gpu = ["trainer.device=cuda", f"{MODEL}=somebody/my-own"]
    assert memory_warning(configure(*gpu)).startswith("memory was not planned: model 'somebody/my-own' is not a folder")
    assert memory_warning(configure("trainer.device=cuda", f"{MODEL}=Qwen/Qwen2.5-7B")) is None
    experts = configure("trainer.device=cuda", f"{MODEL}=Qwen/Qwen3-30B-A3B", "lora=r16")
    assert memory_warning(experts).endswith("has experts, and LoRA of experts is not planned.")


def test_all_mistakes_are_named_at_once(configure):
    with pytest.raises(ValueError) as error:
        check(configure("data.train_files=nowhere.parquet", "algorithm.length_penalty.name=nope"))
    assert "nowhere.parquet" in str(error.value) and "dapo_overlong" in str(error.value)


def test_a_file_without_our_columns(configure, tmp_path):
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="lacks the columns data_source, prompt, reward_model, extra_info"):
        check(configure(f"data.train_files={tmp_path}/other.parquet"))
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match="which is not a parquet file"):
        check(configure(f"data.train_files={tmp_path}/text.parquet"))


@pytest.mark.parametrize("content", [None, "", "name: x", "- _target_: x", "- x", "[", "3", "\\xff"])
def test_a_list_of_agent_loops_that_verl_could_not_load(configure, tmp_path, content):
    path = tmp_path / "loops.yaml"
    if content is not None:
        path.write_bytes(content.encode().replace(b"\\xff", b"\xff"))
    with pytest.raises(ValueError, match=r"loops\.yaml', which is no file with a YAML list of agent loops"):
        check(configure(f"{AGENT}.agent_loop_config_path={path}"))


def test_a_file_with_a_test_set_is_not_trained_on(configure, inputs, tmp_path):
    for name in ("train", "test"):
        shutil.copy(inputs / "data" / "train.parquet", tmp_path / f"{name}.parquet")
    counts = {"test_set": "the test split of MedQA", "official_train": 0, "official_test": 7}
    (tmp_path / "manifest.json").write_text(json.dumps({"sources": {"medqa": counts, "mediq": {}}}))
    check(configure(f"data.train_files={tmp_path}/train.parquet"))
    with pytest.raises(
        ValueError, match=r"test\.parquet', which holds 7 rows of the test split of MedQA; take the train"
    ):
        check(configure(f"data.train_files={tmp_path}/test.parquet"))
    # It was asked for: --keep-test-rows.
    counts["official_train"] = 5
    (tmp_path / "manifest.json").write_text(json.dumps({"sources": {"medqa": counts}}))
    check(configure(f"data.train_files={tmp_path}/train.parquet"))
    (tmp_path / "manifest.json").write_text("[]")
    check(configure(f"data.train_files={tmp_path}/test.parquet"))
    (tmp_path / "manifest.json").write_text('{"sources":')
    with pytest.raises(ValueError, match=r"manifest\.json is cut off or no JSON"):
        check(configure(f"data.train_files={tmp_path}/test.parquet"))


def test_a_mixture_of_a_column_that_is_not_there(configure, inputs, tmp_path):
    table = pq.read_table(inputs / "data" / "train.parquet").drop_columns(["ability"])
    pq.write_table(table, tmp_path / "plain.parquet")
    check(configure(f"data.train_files={tmp_path}/plain.parquet"))
    with pytest.raises(ValueError, match=r"mixture\.by is 'ability', and '.*plain\.parquet' has 64 rows without one"):
        check(configure(f"data.train_files={tmp_path}/plain.parquet", "data.mixture.by=ability"))


def test_an_unknown_source_lists_the_known_ones(configure, inputs, tmp_path):
    table = pq.read_table(inputs / "data" / "train.parquet")
    table = table.set_column(0, "data_source", pa.array(["mystery"] * table.num_rows))
    pq.write_table(table, tmp_path / "mystery.parquet")
    with pytest.raises(
        ValueError, match=r"data_source 'mystery', for which no scorer is registered; known are .*MedIQ"
    ):
        check(configure(f"data.train_files={tmp_path}/mystery.parquet"))


def test_no_disk(configure, monkeypatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(ValueError, match=r"0\.0 GiB free"):
        check(configure())


def test_a_tracked_checkpoint_that_is_gone_is_not_begun_again(configure, tmp_path):
    (tmp_path / "run" / "checkpoints" / "global_step_2").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("4")
    with pytest.raises(ValueError, match="names global_step_4, which is not there; write 2 into it"):
        check(configure(f"run_dir={tmp_path}/run"))
    check(configure(f"run_dir={tmp_path}/run", "trainer.resume_mode=disable"))


def test_a_port_in_use(configure):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        keys = ["ray_kwargs.ray_init.include_dashboard=true", f"+ray_kwargs.ray_init.dashboard_port={port}"]
        with pytest.raises(ValueError, match=f"is {port}, which is in use"):
            check(configure(*keys))


@pytest.mark.parametrize(
    ("allowed", "hook", "sentence"),
    [
        ("none", "", "verl has not loaded its plugin verl_medu1.plugin; unset VERL_USE_EXTERNAL_PLUGINS"),
        (
            "auto",
            "import verl_medu1.machine.accelerator as a; a.has_accelerator = lambda: 1 / 0; ",
            "verl's plugin verl_medu1.plugin can't be loaded: ZeroDivisionError",
        ),
    ],
)
def test_a_plugin_that_verl_has_not_loaded(allowed, hook, sentence):
    """verl logs what fails in a plugin below what it shows, and goes on without it."""
    program = f"{hook}from verl_medu1.checks.stack import require_plugin; require_plugin()"
    environment = os.environ | {"VERL_USE_EXTERNAL_PLUGINS": allowed}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and f"ValueError: {sentence}" in done.stderr, done.stderr


def test_another_verl(monkeypatch):
    monkeypatch.setattr(stack, "installed_version", lambda package: "0.8.0")
    with pytest.raises(ValueError, match=r"verl 0\.8\.0 is installed, this package extends 0\.9\.1"):
        require_verl()


def test_the_command_line_gives_one_sentence_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "verl_medu1.run.train", "recipe=quickstart", f"run_dir={tmp_path}/run"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
    )
    assert done.returncode == 2
    assert "medu1: data.train_files is" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_supervised_stage_gives_one_sentence_for_each_mistake(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "verl_medu1.run.sft", "recipe=cold-start", f"run_dir={tmp_path}/run"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "medu1: data.train_files is" in done.stderr and "and there is no model directory with" in done.stderr


@pytest.mark.parametrize("name", recipe_names(SFT))
def test_each_supervised_recipe_composes_and_resolves(name):
    options = ["model.path=somewhere", "--cfg", "job", "--resolve"]
    subprocess.run(
        [sys.executable, "-m", "verl_medu1.run.sft", f"recipe={name}", *options],
        check=True,
        capture_output=True,
        timeout=100,
    )


def test_what_a_submission_leaves_out_is_checked_where_it_trains():
    assert set(run.WHERE_IT_TRAINS) < set(run._parts(Machine()))
