"""What `medu1 sft` says and notes before it trains, and the rows that training leaves out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.batches import left_out
from verl_medu1.checks.run import check_sft
from verl_medu1.config.compose import compose_config
from verl_medu1.config.recipes import SFT
from verl_medu1.evaluate.models import arguments_of_the_run
from verl_medu1.run.sft import begin


@pytest.fixture(scope="module")
def composed(inputs: Path) -> DictConfig:
    """Of a supervised run over 50 demonstrations."""
    arguments = [
        "recipe=quickstart",
        f"data.train_files={inputs}/data/warmup.parquet",
        f"model.path={inputs}/model",
        "+data.apply_chat_template_kwargs.enable_thinking=false",
    ]
    return compose_config(arguments, SFT)


@pytest.fixture
def config(composed: DictConfig, tmp_path: Path) -> DictConfig:
    changed = composed.copy()
    changed.run_dir = str(tmp_path / "run")
    return changed


def test_the_settings_are_noted_and_earlier_ones_kept(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(config)
    file = Path(config.run_dir, "config.yaml")
    assert yaml.safe_load(file.read_text()) == OmegaConf.to_container(config, resolve=True)
    config.optim.lr = 1
    monkeypatch.setenv("RANK", "1")  # of torchrun's processes the first alone writes
    begin(config)
    assert yaml.safe_load(file.read_text())["optim"]["lr"] == 3e-3
    monkeypatch.setenv("RANK", "0")
    begin(config)
    assert [
        yaml.safe_load(file.with_name(name).read_text())["optim"]["lr"] for name in (file.name, "config-1.yaml")
    ] == [
        1,
        3e-3,
    ]


def test_a_folder_that_a_run_uses_is_refused(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = "import sys, time; from pathlib import Path; from verl_medu1.run_folder.claim import claim; "
    hold += "claimed = claim(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", hold, config.run_dir], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=rf"which process {holder.pid} on .* is using; wait for it"):
            begin(config)
        monkeypatch.setenv("RANK", "1")
        assert begin(config) is None  # one of torchrun's other processes
    finally:
        holder.kill()
        holder.wait()


def test_an_evaluation_of_its_checkpoints_asks_with_its_template_arguments(config: DictConfig) -> None:
    begin(config)
    model = Path(config.trainer.default_local_dir, "global_step_3", "huggingface")
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({}))
    assert arguments_of_the_run(str(model)) == {"enable_thinking": False}
    for content in (b"{", b"\x80\x81\x00"):
        Path(config.run_dir, "config.yaml").write_bytes(content)
        with pytest.raises(ValueError, match=r"config\.yaml can't be read .*; copy it from the run again"):
            arguments_of_the_run(str(model))


def test_a_folder_that_cannot_be_written_is_a_sentence(config: DictConfig, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ValueError, match=r"^run_dir=.*run can't be written to: File exists|Not a directory"):
        begin(config)


def test_fewer_rows_than_one_batch_are_refused(config: DictConfig) -> None:
    check_sft(config)
    config.data.train_batch_size = 51
    with pytest.raises(
        ValueError, match=r"train_batch_size is 51, and the training files have 50 rows; lower it to at"
    ):
        check_sft(config)


@pytest.mark.parametrize(
    ("changes", "rest"),
    [
        ({}, "the 50 training rows leaves out 2, which fill no batch of 16"),
        ({"data.train_batch_size": 10}, None),
        ({"data.train_max_samples": 33}, "the 33 training rows leaves out 1,"),
    ],
)
def test_rows_that_fill_no_batch_are_counted(config: DictConfig, changes: dict[str, int], rest: str | None) -> None:
    for key, value in changes.items():
        OmegaConf.update(config, key, value)
    said = left_out(config, 50)
    assert said is None if rest is None else rest in (said or "")


@pytest.mark.parametrize(
    ("overrides", "is_said"),
    [
        (["data.mixture.by=null"], True),
        (["data.mixture.by=ability"], False),
        (["data.mixture.by=null", "trainer.v1.trainer_mode=medu1_colocate_async"], False),
        (["data.mixture.by=null", "algorithm.filter_groups.enable=true"], False),
        (["data.mixture.by=null", "data.filter_overlong_prompts=true"], False),
    ],
)
def test_in_training_only_where_verl_takes_whole_batches(configure, overrides: list[str], is_said: bool) -> None:
    config = configure(*overrides)
    size = config.data.train_batch_size
    said = left_out(config, 3 * size + 1)
    assert (said is not None) == is_said
    assert left_out(config, 3 * size) is None
