"""A run's folder: one process at a time, and the run that it holds stays what it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from verl_medu1.cli.train import with_allowed_changes
from verl_medu1.run_folder.checkpoints import TRACKER
from verl_medu1.run_folder.claim import KEYS, begin_or_resume, claim, differences, fingerprint

HOLD = """
import sys, time
from pathlib import Path
from verl_medu1.run_folder.claim import claim
claimed = claim(Path(sys.argv[1]))
"""
ACTOR = "actor_rollout_ref.actor"


def hold(run_dir: Path) -> subprocess.Popen:
    """A process that has claimed the folder, and waits."""
    script = HOLD + "print('claimed', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script, str(run_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "claimed\n"
    return process


def test_a_folder_in_use_names_who_uses_it_and_is_free_when_that_is_killed(tmp_path):
    process = hold(tmp_path / "run")
    try:
        with pytest.raises(ValueError, match=rf"which process {process.pid} on .+ since .* is using; wait for it"):
            claim(tmp_path / "run")
        claim(tmp_path / "other").release()
    finally:
        process.kill()
        process.wait()
    claim(tmp_path / "run").release()


def test_a_claim_ends_with_its_release_and_not_with_a_child(tmp_path):
    mine = claim(tmp_path)
    subprocess.run([sys.executable, "-c", "pass"], check=True, close_fds=False)
    second = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True, text=True)
    assert "is using" in second.stderr
    mine.release()
    subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="can't be written to"):
        claim(tmp_path / "file" / "run")


@pytest.fixture
def run(configure, tmp_path):
    """The quickstart in a folder of its own, with a checkpoint of step 2 after its first start."""
    config = changed(configure(), "run_dir", f"{tmp_path}/run")
    (tmp_path / "run" / "checkpoints" / "global_step_2").mkdir(parents=True)
    begin_or_resume(config)
    (tmp_path / "run" / "checkpoints" / TRACKER).write_text("2")
    return config


def changed(config, key, value):
    other = config.copy()
    OmegaConf.update(other, key, value, force_add=True)
    return other


def test_the_same_run_goes_on(run):
    begin_or_resume(run)
    assert not list(Path(run.run_dir).glob("config-*.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        (f"{ACTOR}.optim.lr", 1e-3, f"{ACTOR}.optim was .*'lr': .* and is .*'lr': 0.001.* now; .*by --allow-changed"),
        ("algorithm.length_penalty.weight", 0.25, r"algorithm\.length_penalty was .*'weight': "),
        ("algorithm.adv_estimator", "rloo", "was grpo when this run began, and is rloo now"),
        ("data.train_batch_size", 16, r"data\.train_batch_size was"),
        (f"{ACTOR}.strategy", "fsdp2", "strategy was megatron"),
        (f"{ACTOR}.megatron.tensor_model_parallel_size", 8, "tensor_model_parallel_size was"),
        ("scoring.scheme", "accuracy", "scheme was gated_binary"),
        ("actor_rollout_ref.model.lora.rank", 16, r"model\.lora was .*'rank': 0"),
    ],
)
def test_a_difference_is_named(configure, key, value, named):
    config = configure()
    before = fingerprint(config)
    (sentence,) = differences(before, fingerprint(changed(config, key, value)))
    assert re.search(named, sentence), sentence
    key_named = sentence.rpartition("--allow-changed ")[2].rstrip(".")
    assert differences(before, fingerprint(changed(config, key, value)), [key_named]) == []


def test_a_run_goes_on_with_a_difference_that_is_wanted(run):
    other, folder = changed(run, "data.seed", 99), Path(run.run_dir)
    with pytest.raises(ValueError, match=r"data\.seed was 1 when this run began, and is 99 now"):
        begin_or_resume(other)
    assert OmegaConf.load(folder / "config.yaml").data.seed == 1
    begin_or_resume(changed(other, "allow_changed", ["data.seed"]))
    begin_or_resume(other)  # it is what the run is now
    assert OmegaConf.load(folder / "config.yaml").data.seed == 99
    assert OmegaConf.load(folder / "config-1.yaml").data.seed == 1


def test_what_only_says_how_it_runs_may_change(configure):
    config = configure()
    other = config.copy()
    for key, value in {
        "trainer.save_freq": 7,
        f"{ACTOR}.ppo_max_token_len_per_gpu": 4096,
        "actor_rollout_ref.rollout.gpu_memory_utilization": 0.3,
        "trainer.logger": ["console"],
    }.items():
        OmegaConf.update(other, key, value)
    assert differences(fingerprint(config), fingerprint(other)) == []


def test_more_steps_move_the_stages_of_a_mixture(configure, tmp_path):
    stages = [{"families": ["calculation"], "share": 1}, {"families": ["multiple_choice", "open_ended"], "share": 1}]
    config = changed(changed(configure(), "run_dir", str(tmp_path)), "data.mixture.stages", stages)
    (tmp_path / "checkpoints" / "global_step_1").mkdir(parents=True)
    begin_or_resume(config)
    (tmp_path / "checkpoints" / TRACKER).write_text("1")
    with pytest.raises(ValueError, match=r"trainer\.total_epochs was"):
        begin_or_resume(changed(config, "trainer.total_epochs", 9))


def test_model_and_data_are_known_by_their_content(run, tmp_path):
    model, data = run.actor_rollout_ref.model.path, run.data.train_files
    moved = shutil.copytree(model, tmp_path / "moved")
    begin_or_resume(changed(run, "actor_rollout_ref.model.path", str(moved)))
    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.path was .*with another content.* --allow-changed .*model\.path"):
        begin_or_resume(changed(run, "actor_rollout_ref.model.path", str(moved)))
    begin_or_resume(changed(run, "data.train_files", str(shutil.copy(data, tmp_path / "same.parquet"))))
    with pytest.raises(ValueError, match=r"data\.train_files was .* and is .*test\.parquet now"):
        begin_or_resume(changed(run, "data.train_files", run.data.val_files))


def test_before_the_first_checkpoint_a_run_may_begin_as_another(configure, tmp_path):
    config = changed(configure(), "run_dir", str(tmp_path))
    begin_or_resume(config)
    begin_or_resume(changed(config, "data.seed", 99))
    assert OmegaConf.load(tmp_path / "config.yaml").data.seed == 99
    assert OmegaConf.load(tmp_path / "config-1.yaml").data.seed == config.data.seed


def test_each_key_is_one_of_the_configuration(configure):
    for engine in ("megatron", "dp"):
        config = configure(f"model_engine={engine}")
        missing = [key for key in KEYS if OmegaConf.select(config, key.rpartition(".")[0]) is None]
        assert [key for key in missing if ".megatron." not in key] == []


@pytest.mark.parametrize("arguments", [["--allow-changed"], ["--allow-changed", "a=1"], ["--allow-changed="]])
def test_an_allowed_change_needs_a_key(arguments):
    with pytest.raises(ValueError, match="--allow-changed has no key"):
        with_allowed_changes(arguments)
    assert with_allowed_changes(["x=1", "--help"]) == ["x=1", "--help"]
