"""Keys that nobody reads, values that end a run late, settings without effect, and prompts that do not fit."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from verl_medu1.checks.mismatch import mismatch_violations
from verl_medu1.checks.prompts import load_tokenizer, too_long
from verl_medu1.checks.rewards import filter_violations, filter_warning
from verl_medu1.checks.run import check, check_sft
from verl_medu1.config.compose import compose_config
from verl_medu1.config.keys import LEGACY_GROUPS, MOVED, UNREAD, legacy_violations, unknown_key_violations
from verl_medu1.config.recipes import SFT, TRAIN
from verl_medu1.models.tiny import CHAT_TEMPLATE
from verl_medu1.verl_compat import config_folder

ACTOR, ROLLOUT, MODEL = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "model"))
CORRECTION = "algorithm.rollout_correction"
COLOCATE_ASYNC = "trainer.v1.trainer_mode=medu1_colocate_async"
CUSTOM = "reward.custom_reward_function"
GDPO = ["algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=[acc]"]
ANOTHER_MANAGER = [
    "reward.reward_manager.source=register",
    "reward.reward_manager.name=dapo",
    "reward.reward_manager.module.path=null",
]


GAIN = ["episodes.answer_gain=true", "episodes.answer_gain_weight=0.1"]
EPISODES = [f"{ROLLOUT}.agent.default_agent_loop=medu1_episode", "episodes.max_turn_tokens=64"]
EPISODES += ["episodes.max_observation_tokens=64"]
SEARCHER = [*EPISODES, "episodes.environment=searcher", "+episodes.settings.reader=nobody"]
SEARCHER += ["+episodes.settings.address=http://127.0.0.1:1/"]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        # verl's older names, read by nobody
        (["custom_reward_function.path=nothere.py"], r"path is 'nothere\.py', an .*set reward\.custom_"),
        (["reward_model.reward_manager=dapo"], r"is 'dapo', an older name .*set reward\.reward_manager\.name"),
        (["reward_model.enable=true"], r"reward_model\.enable is True, .*set reward\.reward_model\.enable"),
        (["sandbox_fusion.url=http://x"], r"sandbox_fusion\.url is .*set reward\.sandbox_fusion\.url"),
        (["algorithm.use_pf_ppo=true"], r"use_pf_ppo is true, which verl's V1 trainers do not"),
        (["actor_rollout_ref.nccl_timeout=7200"], r"nccl_timeout is 7200, and nothing in verl 0\.9\.1 reads it"),
        ([f"{ACTOR}.use_prefix_grouper=true"], "use_prefix_grouper is True, and nothing in verl .* reads it"),
        # what Hydra's `use +key` leads to
        (["+trainer.total_training_stepz=4"], r"total_training_stepz is not a key .*near it are total_training_steps"),
        (["+data.apply_chat_template_kwarg={a: 1}"], "near it are apply_chat_template_kwargs"),
        (["+algorithm.lenght_penalty.weight=0"], "near it are length_penalty"),
        (["+algorithm.length_penalty.wieght=0"], "near it are weight"),
        (["+watchdog.time=1"], r"watchdog\.time is not a key .*near it are timeout_s"),
        (["+nonsense=1"], "nonsense is not a key that anything reads"),
        # values that ended a run late, or meant nothing
        ([f"{ROLLOUT}.n=1"], r"rollout\.n is 1, and .*grpo compares the answers to one question; give at least 2"),
        ([f"{ROLLOUT}.n=two"], r"rollout\.n is 'two'; it must be a whole number"),
        (["trainer.total_training_steps=-4"], "total_training_steps is -4; give at least 1, or null"),
        ([f"{ACTOR}.optim.lr=abc"], r"optim\.lr is 'abc'; it must be a number"),
        ([f"{ACTOR}.optim.lr=-1"], r"optim\.lr is -1; it must be a number of at least 0"),
        ([f"{MODEL}.lora_rank=16"], r"lora_rank is 16, which Megatron does not read; set .*lora\.rank"),
        ([f"{MODEL}.lora.rank=16", "model_engine=dp"], r"lora\.rank is 16, which FSDP2 does not read; set .*lora_rank"),
        ([f"{MODEL}.lora.rank=null"], r"lora\.rank is null; give 0 to train all weights"),
        (["trainer.nnodes=2"], "nnodes is 2, and this machine is one; .*medu1 slurm"),
        (["data.max_response_length=4"], "is 4, and the shortest answer of the right form has [0-9]+ tokens"),
        (["data.max_response_length=200"], r"max_model_len is 256, and .* 128 \+ .* 200 is more; raise it to 328"),
        (
            [f"{ACTOR}.use_dynamic_bsz=false", f"{ACTOR}.ppo_micro_batch_size_per_gpu=4"],
            r"log_prob_micro_batch_size_per_gpu is None, and .*use_dynamic_bsz=false needs it",
        ),
        ([f"{CUSTOM}.path=/nothere.py"], "path is '/nothere.py', and there is no such file"),
        ([f"{CUSTOM}.path=pkg://no.such.module"], "there is no such module"),
        # settings without effect beside others
        (
            [*GDPO, "algorithm.norm_adv_by_std_in_grpo=false"],
            "norm_adv_by_std_in_grpo is false, which .*medu1_gdpo does not read",
        ),
        (["algorithm.gdpo_reward_keys=[acc]"], "gdpo_reward_keys is set, and is for medu1_gdpo"),
        (["data.mixture.by=ability", "data.shuffle=false"], r"shuffle is false, and data\.mixture\.by draws"),
        (
            [
                "data.mixture.by=ability",
                "data.mixture.stages=[{families: [calculation, multiple_choice, open_ended], share: 1}]",
                "algorithm.filter_groups.enable=true",
            ],
            r"mixture\.stages is set, and algorithm\.filter_groups asks more questions than a step trains on",
        ),
        (["data.truncation=left"], "truncation is 'left', and no prompt is ever cut"),
        # rewards that are not ours, where something needs ours
        (
            ANOTHER_MANAGER,
            "'dapo', which is not ours and returns no lengths; set .*where=off",
        ),
        (["reward.reward_model.enable=true"], r"enable is true without a resource pool.*set .*where=off"),
        (["reward.reward_manager.name=Nope"], "'Nope', which pkg://verl_medu1.training.reward_manager does not have"),
        # the correction for the difference between rollout and trainer, and its alarm
        (
            [COLOCATE_ASYNC, f"{CORRECTION}.bypass_mode=false", f"{CORRECTION}.rollout_is=null"],
            "'medu1_colocate_async', whose answers are partly from older weights, .*set .*rollout_is=token",
        ),
        ([f"{CORRECTION}.rollout_is=tokens"], "rollout_is is 'tokens'; choose token or sequence, or null"),
        ([f"{ROLLOUT}.calculate_log_probs=false"], "calculate_log_probs is false, and .*bypass_mode=true needs"),
        (
            [f"{ROLLOUT}.calculate_log_probs=false", f"{CORRECTION}.bypass_mode=false"],
            "calculate_log_probs is false, and .*rollout_is=token needs",
        ),
        (["rollout_mismatch.max_kl=0"], "max_kl is 0; it must be a number above 0, or null"),
        (["rollout_mismatch.max_probs_diff=small"], "max_probs_diff is 'small'; it must be a number above 0"),
        (["rollout_mismatch.max_kl=true"], "max_kl is True; it must be a number above 0"),
        (["rollout_mismatch.end_run=maybe"], "end_run is 'maybe'; it must be true or false"),
        ([f"{CORRECTION}=null"], "rollout_correction is null; set .*rollout_is=null"),
        ([f"{CORRECTION}.rollout_is_threshold=null"], "rollout_is_threshold is None; it must be a number above 0"),
        ([f"{CORRECTION}.rollout_is_threshold=-1"], "rollout_is_threshold is -1; it must be a number above 0"),
        ([f"{CORRECTION}.rollout_is_threshold='2_1'"], "rollout_is_threshold is '2_1'; it must be a number above 0"),
        # several turns
        ([f"{ROLLOUT}.agent.default_agent_loop=tool_agent"], "'tool_agent', and .* what tools return .*where=off"),
        (["episodes.environment=search"], "'search', and nobody talks to it; set .*=medu1_episode"),
        (["scoring.scheme=staged"], "'staged', which rewards what searches find; set .*=medu1_episode"),
        (EPISODES, "episodes.environment is 'None'; choose one of consultation, examinations, search, searcher"),
        (
            [*EPISODES, "episodes.environment=consultation"],
            "'consultation', and in .*train.parquet row 'quickstart.*' has no patient in extra_info.environment",
        ),
        ([*EPISODES, *ANOTHER_MANAGER], "'dapo', which takes what an environment says as the model's"),
        (["algorithm.length_penalty.unit=words"], "unit is 'words'; choose tokens or calls or prices"),
        (["algorithm.length_penalty.unit=calls"], "'calls', and there are none in one turn; set .*=medu1_episode"),
        ([*EPISODES, "algorithm.length_penalty.unit=calls"], "'relative_distance', which does not count calls"),
        ([*EPISODES, "algorithm.length_penalty.unit=prices"], "'prices', and .*environment is None; take examinations"),
        ([*EPISODES, "algorithm.length_penalty.unit=prices"], "'relative_distance', which does not count prices"),
        ([*EPISODES, "episodes.answer_gain=1"], "episodes.answer_gain is 1; it must be true or false"),
        ([*EPISODES, "episodes.answer_gain_weight=-1"], "answer_gain_weight is -1; it must be a number of at least"),
        ([*EPISODES, "episodes.answer_gain_weight=nan"], "answer_gain_weight is nan; it must be a number of at"),
        ([*EPISODES, "episodes.answer_gain_weight=0.1"], "is 0.1, and nothing measures answer_gain; set"),
        (
            [*EPISODES, *GAIN, "algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=[acc]"],
            "answer_gain_weight is 0.1, and .*medu1_gdpo looks at components only",
        ),
        ([*EPISODES, "episodes.max_turns=0"], "episodes.max_turns is 0; it must be a whole number of at least 1"),
        ([*EPISODES, "episodes.max_turn_tokens=200"], "max_turn_tokens is 200, and all .*max_response_length=128"),
        ([*EPISODES, "trainer.v1.trainer_mode=medu1_colocate_async"], "may change the model in the middle"),
        ([*EPISODES, "data.seed=-1"], "-1, which default_agent_loop=medu1_episode starts from"),
        ([*SEARCHER, "scoring.scheme=accuracy"], "scheme is 'accuracy', and the environment searcher rewards the gain"),
        ([*SEARCHER, "scoring.judge.base_url=http://127.0.0.1:1/v1"], "no judge is asked about the replies"),
        (SEARCHER, r"episodes\.settings\.reader is 'nobody'; give rules, or base_url and model"),
        # prompts
        (["data.max_prompt_length=10"], "is 10, and 64 of the 64 prompts of data.train_files are longer .up to [0-9]+"),
        ([f"{ROLLOUT}.prompt_length=10"], "is 10, and 64 of the 64 prompts"),
    ],
)  # fmt: skip
def test_each_has_its_sentence(configure, monkeypatch, overrides, sentence):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ValueError, match=sentence):
        check(configure(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        # what other programs read
        ["+ray_kwargs.ray_init.log_to_driver=false"],
        ["+data.apply_chat_template_kwargs.enable_thinking=true"],
        [f"+{ACTOR}.megatron.override_transformer_config.attention_dropout=0.0"],
        [f"+{ROLLOUT}.engine_kwargs.vllm.seed=1"],
        ["+ray_kwargs.ray_init.runtime_env.env_vars.NCCL_DEBUG=INFO"],
        # what verl reads without a default
        ["+data.cache_dir=x", "+trainer.remove_previous_ckpt_in_save=true"],
        # rewards that are not ours, where nothing needs ours
        [*ANOTHER_MANAGER, "algorithm.length_penalty.where=off"],
        # a correction of another kind, and none where there is little to correct
        [COLOCATE_ASYNC, f"{CORRECTION}.rollout_is=null"],
        [COLOCATE_ASYNC, f"{CORRECTION}.bypass_mode=false"],
        [f"{CORRECTION}.bypass_mode=false", f"{CORRECTION}.rollout_is=null", f"{ROLLOUT}.calculate_log_probs=false"],
        ["rollout_mismatch.max_kl=null", "rollout_mismatch.end_run=true"],
        [f"{CORRECTION}.rollout_is_threshold='0.5_2'"],
        [f"{CORRECTION}.rollout_is=null", f"{CORRECTION}.rollout_is_threshold=null"],
        # verl leaves them out by itself
        ["data.max_prompt_length=10", "data.filter_overlong_prompts=true"],
        ["data.mixture.by=null", "data.shuffle=false"],
    ],
)
def test_what_is_read_passes(configure, overrides):
    check(configure(*overrides))


def test_each_mode_with_older_weights_needs_a_correction(configure):
    """All of verl's and ours but the synchronous ones, whatever verl adds."""
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    import verl_medu1.training.trainer  # noqa: F401 - registers ours

    without = [f"{CORRECTION}.bypass_mode=false", f"{CORRECTION}.rollout_is=null"]
    found = {}
    for mode in TRAINER_REGISTRY:
        found[mode] = list(mismatch_violations(configure(f"trainer.v1.trainer_mode={mode}", *without)))
    assert {mode for mode, told in found.items() if not told} == {"sync", "medu1_sync"}
    for mode in ("colocate_async", "separate_async", "medu1_colocate_async"):
        assert found[mode] == [
            f"trainer.v1.trainer_mode is {mode!r}, whose answers are partly from older weights, and nothing corrects "
            "for that; set algorithm.rollout_correction.rollout_is=token."
        ]


FILTER = "algorithm.filter_groups"
INFLIGHT = f"{FILTER}.max_inflight_gen_batches"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            [f"{FILTER}.metric=accuracy"],
            f"{FILTER}.metric is 'accuracy', which no answer has; choose from reward, score",
        ),
        ([f"{FILTER}.metric=null"], f"{FILTER}.metric is None, which no answer has"),
        # The trainer adds it after the questions are chosen.
        ([f"{FILTER}.metric=length_score"], f"{FILTER}.metric is 'length_score', which no answer has"),
        ([f"{INFLIGHT}=0"], f"{INFLIGHT} is 0; it must be a whole number of at least 1"),
        ([f"{INFLIGHT}=1.5"], f"{INFLIGHT} is 1.5; it must be a whole number"),
        ([f"{INFLIGHT}=true"], f"{INFLIGHT} is True; it must be a whole number"),
        (["reward.reward_model.enable=true"], "a reward model without a resource pool gives its rewards after"),
        ([f"{FILTER}.metric=acc", f"{INFLIGHT}=3"], None),
        ([f"{FILTER}.metric=mine", f"{CUSTOM}.path=mine.py"], None),
    ],
)
def test_dynamic_sampling_is_checked_if_it_is_on(configure, overrides, sentence):
    found = list(filter_violations(configure(f"{FILTER}.enable=true", *overrides)))
    assert len(found) == (sentence is not None) and (sentence is None or sentence in found[0])
    assert list(filter_violations(configure(*overrides))) == []


@pytest.mark.parametrize(
    ("overrides", "is_told"),
    [
        ([], False),
        (["algorithm.filter_groups.enable=true"], True),
        (["algorithm.filter_groups.enable=true", "algorithm.length_penalty.where=reward"], True),
        (["algorithm.filter_groups.enable=true", "algorithm.length_penalty.where=off"], False),
        (["algorithm.filter_groups.enable=true", "algorithm.length_penalty.weight=0"], False),
    ],
)
def test_what_dynamic_sampling_takes_from_the_length_term_is_told(configure, overrides, is_told):
    found = filter_warning(configure(*overrides))
    assert (found is not None) == is_told and (found is None or "docs/length.md" in found)


def test_each_older_key_is_named_with_a_key_that_is_there(configure):
    config = configure()
    for group in LEGACY_GROUPS:
        for key in config[group]:
            if OmegaConf.is_dict(config[group][key]):
                continue
            changed = config.copy()
            changed[group][key] = "x"
            (sentence,) = legacy_violations(changed)
            named = MOVED.get(f"{group}.{key}", f"reward.{group}.{key}")
            parent = OmegaConf.select(config, named.rpartition(".")[0])
            assert f"set {named}." in sentence and named.rpartition(".")[2] in parent, named


def test_keys_that_are_called_unread_are_in_no_file_of_verls_that_is_used_here(configure):
    config, folder = configure(), Path(config_folder.folder()).parents[1]
    others = ("trainer/ppo/ray_trainer.py", "trainer/sft_trainer_ray.py", "trainer/config", "workers/config")
    others += ("experimental/fully_async_policy", "experimental/one_step_off_policy", "experimental/separation")
    others += ("models/transformers/monkey_patch.py",)  # an argument of the same name, which nothing passes
    texts = {
        str(file.relative_to(folder)): file.read_text(encoding="utf-8", errors="ignore")
        for file in folder.rglob("*.py")
        if not str(file.relative_to(folder)).startswith(others)
    }
    for path, default in UNREAD[TRAIN].items():
        assert OmegaConf.select(config, path) == default, path
        read = re.compile(rf"[.\"']{path.rpartition('.')[2]}\b")
        assert [name for name, text in texts.items() if read.search(text)] == [], path
    for path, default in UNREAD[SFT].items():
        assert OmegaConf.select(compose_config(["recipe=quickstart"], SFT), path) == default, path
        assert path not in texts["trainer/sft_trainer.py"]


def test_a_key_that_the_warm_up_does_not_read_is_refused():
    with pytest.raises(ValueError, match=r"trainer\.seed is 5, and nothing in verl 0\.9\.1 reads it"):
        check_sft(compose_config(["recipe=quickstart", "trainer.seed=5"], SFT))


def test_several_nodes_join_a_cluster_that_is_there(configure, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ValueError) as error:
        check(configure("trainer.nnodes=2", "trainer.n_gpus_per_node=0"))
    assert "this machine is one" not in str(error.value)


def test_a_function_of_ones_own_is_looked_for(configure, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def compute_score(**kwargs):\n    return 1.0\n")
    check(configure(f"{CUSTOM}.path={file}"))
    with pytest.raises(ValueError, match=r"name is 'nope', which .*mine\.py' does not have"):
        check(configure(f"{CUSTOM}.path={file}", f"{CUSTOM}.name=nope"))
    with pytest.raises(ValueError, match=r"scoring\.\* is set, and the reward is not made by our scorers"):
        check(configure(f"{CUSTOM}.path={file}", "scoring.scheme=accuracy"))


def test_files_that_cannot_follow_each_other_are_named(configure, inputs, tmp_path):
    table = pq.read_table(inputs / "data" / "train.parquet")
    other = table.set_column(0, "data_source", table["data_source"].cast(pa.large_string()))
    pq.write_table(other, tmp_path / "large.parquet")
    pq.write_table(table, tmp_path / "same.parquet")
    check(configure(f"data.train_files=[{inputs}/data/train.parquet,{tmp_path}/same.parquet]"))
    with pytest.raises(ValueError, match=r"train\.parquet' and '.*large\.parquet', whose columns data_source have"):
        check(configure(f"data.train_files=[{inputs}/data/train.parquet,{tmp_path}/large.parquet]"))


def test_a_file_without_rows_is_named(configure, inputs, tmp_path):
    pq.write_table(pq.read_table(inputs / "data" / "test.parquet").slice(0, 0), tmp_path / "empty.parquet")
    for key in ("data.val_files", "data.train_files"):
        with pytest.raises(ValueError, match=rf"{key} is '.*empty\.parquet', which has no rows") as error:
            check(configure(f"{key}={tmp_path}/empty.parquet"))
        assert "at most 0" not in str(error.value)


def test_long_prompts_are_counted_as_verl_counts_them(configure, inputs):
    config = configure()
    tokenizer = load_tokenizer(config.actor_rollout_ref.model, "actor_rollout_ref.model.path")
    path = inputs / "data" / "train.parquet"
    lengths = [
        len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False))
        for messages in pq.read_table(path)["prompt"].to_pylist()
    ]
    for limit in (1, min(lengths), sorted(lengths)[len(lengths) // 2], max(lengths) - 1, max(lengths)):
        assert list(too_long(tokenizer, {}, path, limit)) == [length for length in lengths if length > limit]


def _with_template(model: Path, out: Path, template: str | None) -> Path:
    """The tokenizer and config of a model, with another chat template."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(out)
    AutoConfig.from_pretrained(model).save_pretrained(out)
    return out


def test_a_template_that_does_not_fit_the_scorer_is_named(configure, inputs, tmp_path):
    closed = CHAT_TEMPLATE.replace("assistant\n{%", "assistant\n<think>\n\n</think>\n\n{%")
    model = _with_template(inputs / "model", tmp_path / "closed", closed)
    with pytest.raises(ValueError, match=r"model\.path is '.*closed': the chat template closes the reasoning"):
        check(configure(f"{MODEL}.path={model}"))
    check(configure(f"{MODEL}.path={model}", "scoring.scheme=accuracy"))
    none = _with_template(inputs / "model", tmp_path / "none", None)
    with pytest.raises(ValueError, match="has no chat template"):
        check(configure(f"{MODEL}.path={none}"))


def test_demonstrations_that_lose_their_reasoning_are_named(inputs, tmp_path):
    cut = CHAT_TEMPLATE.replace("message['content']", "message['content'].split('</think>')[-1]")
    model = _with_template(inputs / "model", tmp_path / "cut", cut)
    data = {
        "messages_key": "messages",
        "train_files": f"{inputs}/data/warmup.parquet",
        "val_files": None,
        "train_batch_size": 1,
    }
    config = OmegaConf.create({"data": data, "model": {"path": str(inputs / "model"), "custom_chat_template": None}})
    check_sft(config)
    config.model.path = str(model)
    with pytest.raises(ValueError, match=r"model\.path is '.*cut': the chat template drops the reasoning"):
        check_sft(config)


def test_no_key_of_the_quickstart_is_unknown(configure):
    assert list(unknown_key_violations(configure())) == []
