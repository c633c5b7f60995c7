"""Pipelines of real commands: what is run, what is left alone, and what is refused. tests/e2e trains in them."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from tests.signals import by_default
from verl_medu1.cli.app import main
from verl_medu1.config.inputs import inputs_of
from verl_medu1.config.pipeline import read_stages
from verl_medu1.data.storage import sha256
from verl_medu1.models.tiny import write_tiny_model
from verl_medu1.models.weights import WEIGHTS
from verl_medu1.run.pipeline import changes, command_of, run_pipeline, stage_violations
from verl_medu1.run_folder.checkpoints import TRACKER
from verl_medu1.run_folder.pipeline import DONE, PIPELINE, WAITS, Stage, state_of, write_stages
from verl_medu1.run_folder.progress import Progress


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """Two models, A and B."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate("AB"):
        write_tiny_model(["a fever", "a cough"], folder / name, seed=seed, hidden=16)
    return folder


@pytest.fixture
def models(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "models"))


def merges(models: Path, run_dir: Path, weight: str = "0.25") -> list[Stage]:
    """The mean of A and B, and then a quarter of it and three of A."""
    text = f"""
stages:
  half: [merge, {models}/A, {models}/B]
  quarter: [merge, "{{half}}", {models}/A, --weight, "{weight}"]
"""
    return read_stages(text, "it", run_dir)


def status(run_dir: Path, monkeypatch, capfd) -> str:
    monkeypatch.setattr(sys, "argv", ["medu1", "status", str(run_dir)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return str(capfd.readouterr().out)


def test_stages_build_on_each_other_and_are_run_once(models, tmp_path, monkeypatch, capfd):
    run_dir = tmp_path / "run"
    stages = merges(models, run_dir)
    assert run_pipeline(run_dir, stages) == 0
    half, quarter, one, other = (
        load_file(folder / WEIGHTS) for folder in (*(stage.folder for stage in stages), models / "A", models / "B")
    )
    for name, tensor in one.items():
        assert torch.allclose(half[name], 0.5 * tensor + 0.5 * other[name], atol=1e-6)
        assert torch.allclose(quarter[name], 0.25 * half[name] + 0.75 * tensor, atol=1e-6)
    written = [stage.folder.stat().st_mtime_ns for stage in stages]
    capfd.readouterr()
    assert run_pipeline(run_dir, stages) == 0
    assert [stage.folder.stat().st_mtime_ns for stage in stages] == written
    assert "stage 2 of 2, quarter: done" in capfd.readouterr().err
    shown = status(run_dir, monkeypatch, capfd)
    assert [line.split("│")[3].strip() for line in shown.splitlines() if "merge" in line] == [DONE, DONE]


def test_another_stage_than_the_one_that_began_is_refused_until_its_folder_is_removed(models, tmp_path):
    run_dir = tmp_path / "run"
    stages = merges(models, run_dir)
    assert run_pipeline(run_dir, stages) == 0
    others = merges(models, run_dir, weight="0.75")
    with pytest.raises(
        ValueError, match=r"stage quarter began with 0\.25, and has 0\.75 now; .* or remove \S+/quarter"
    ):
        run_pipeline(run_dir, others)
    # The same arguments, and other weights behind them.
    file = models / "B" / WEIGHTS
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"stage half began with another content of .*/B; set it back"):
        run_pipeline(run_dir, stages)
    shutil.rmtree(run_dir / "half")
    # What was made of the old one is not taken for made of the new one.
    assert run_pipeline(run_dir, stages[:1]) == 0
    assert "half" in (run_dir / PIPELINE).read_text()


def test_a_model_that_was_made_again_does_not_fit_the_stage_after_it(models, tmp_path):
    run_dir = tmp_path / "run"
    stages = merges(models, run_dir)
    assert run_pipeline(run_dir, stages) == 0
    shutil.rmtree(run_dir / "half")
    shutil.copytree(models / "B", run_dir / "half")
    with pytest.raises(ValueError, match=r"stage quarter began with another content of .*/half; .* remove .*/quarter"):
        run_pipeline(run_dir, stages)
    shutil.rmtree(run_dir / "quarter")
    assert run_pipeline(run_dir, stages) == 0


def test_a_stage_that_fails_ends_the_pipeline_and_is_begun_again(models, tmp_path, monkeypatch, capfd):
    run_dir = tmp_path / "run"
    stages = merges(models, run_dir)
    (models / "B").rename(models / "hidden")
    assert run_pipeline(run_dir, stages) == 2
    assert "has no config.json" in (said := capfd.readouterr().err) and "stage half ended with exit code 2" in said
    shown = status(run_dir, monkeypatch, capfd)
    assert [line.split("│")[3].strip() for line in shown.splitlines() if "merge" in line] == [WAITS, WAITS]
    (models / "hidden").rename(models / "B")
    assert run_pipeline(run_dir, stages) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pipeline_that_is_told_to_end_leaves_no_command_behind(models, tmp_path, number):
    text = "from pathlib import Path; from tests.run.test_pipeline import merges, run_pipeline; import sys\n"
    text += f"sys.exit(run_pipeline(Path('run'), merges(Path({str(models)!r}), Path('run'))))"
    root = str(Path(__file__).resolve().parents[2])
    program = f"import sys; sys.path.insert(0, {root!r})\n{text}"
    pipeline = psutil.Popen([sys.executable, "-c", program], cwd=tmp_path, preexec_fn=by_default)
    deadline = time.monotonic() + 100
    while not (children := pipeline.children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    pipeline.send_signal(number)
    code = pipeline.wait(60)
    # Within an import an interrupt may become another error of the command, or none.
    assert code == 128 + number or (number == signal.SIGINT and code > 0)
    assert not (tmp_path / "run" / "quarter").exists()
    assert children and not any(child.is_running() for child in children)
    assert number == signal.SIGINT or not list((tmp_path / "run").glob("half*"))


def test_two_pipelines_do_not_work_in_one_folder(models, tmp_path):
    run_dir = tmp_path / "run"
    hold = "from pathlib import Path; from verl_medu1.run_folder.claim import claim; import sys\n"
    hold += f"claimed = claim(Path({str(run_dir)!r})); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(ValueError, match=r"run_dir is .*, which process .* is using"):
            run_pipeline(run_dir, merges(models, run_dir))
        other.communicate()


@pytest.mark.parametrize(
    ("trainer", "saved", "state"),
    [
        (None, None, WAITS),
        ({"total_training_steps": 4, "total_epochs": 1}, None, "saved step 0 of 4"),
        ({"total_training_steps": 4, "total_epochs": 1}, 3, "saved step 3 of 4"),
        ({"total_training_steps": 4, "total_epochs": 1}, 4, DONE),
        # 10 rows in batches of 4: two steps an epoch.
        ({"total_training_steps": None, "total_epochs": 3}, 5, "saved step 5 of 6"),
        ({"total_training_steps": None, "total_epochs": 3}, 6, DONE),
    ],
)
def test_how_a_training_stands_is_read_from_its_folder(tmp_path, trainer, saved, state):
    stage = Stage("rules", "train", (), tmp_path / "rules")
    stage.folder.mkdir()
    pq.write_table(pa.table({"x": range(10)}), tmp_path / "rows.parquet")
    if trainer:
        data = {"train_files": str(tmp_path / "rows.parquet"), "train_batch_size": 4}
        OmegaConf.save({"trainer": trainer, "data": data}, stage.folder / "config.yaml")
    if saved:
        (stage.folder / "checkpoints" / f"global_step_{saved}").mkdir(parents=True)
        (stage.folder / "checkpoints" / TRACKER).write_text(str(saved))
    assert state_of(stage) == state


@pytest.mark.parametrize(
    ("reported", "given", "state"),
    [
        # verl keeps 5 of the 10 rows, whose prompts are short enough: one step an epoch.
        (3, None, DONE),
        (4, None, "saved step 3 of 4"),
        # Before the trainer has its data, and of an older run, all rows count.
        (None, None, "saved step 3 of 6"),
        (0, None, "saved step 3 of 6"),
        # A number in the configuration is the number, whatever an earlier start said.
        (3, 9, "saved step 3 of 9"),
    ],
)
def test_a_training_that_leaves_rows_out_is_done_when_its_trainer_says_so(tmp_path, reported, given, state):
    stage = Stage("rl", "train", (), tmp_path / "rl")
    stage.folder.mkdir()
    pq.write_table(pa.table({"x": range(10)}), tmp_path / "rows.parquet")
    data = {"train_files": str(tmp_path / "rows.parquet"), "train_batch_size": 4, "filter_overlong_prompts": True}
    trainer = {"total_training_steps": given, "total_epochs": 3}
    OmegaConf.save({"trainer": trainer, "data": data}, stage.folder / "config.yaml")
    (stage.folder / "checkpoints" / "global_step_3").mkdir(parents=True)
    (stage.folder / "checkpoints" / TRACKER).write_text("3")
    progress = Progress(stage.folder)
    progress.steps = reported
    progress.report(3, "step done")
    assert state_of(stage) == state


def training(folder: Path, *arguments: str, command: str = "train") -> Stage:
    return Stage("rl", command, ("recipe=quickstart", *arguments, f"run_dir={folder}"), folder)


def test_inputs_of_a_training_are_its_data_its_model_and_what_else_arguments_name(models, tmp_path):
    out, rows, mine = tmp_path / "out", tmp_path / "rows", tmp_path / "mine.py"
    rows.write_text("1")
    mine.write_text("2")
    out.mkdir()
    # Hydra's list is no name of a file.
    stage = training(
        out,
        f"data.train_files=[{rows},{rows}]",
        f"++data.val_files={rows}",
        f"actor_rollout_ref.model.path={models / 'A'}",
        f"reward.custom_reward_function.path={mine}",
        "data.seed=1",
    )
    one, two = sha256(rows), sha256(mine)
    found = inputs_of(stage)
    assert WEIGHTS in found.pop("actor_rollout_ref.model.path")
    assert found == {
        "data.train_files": [one, one],
        "data.val_files": [one],
        f"reward.custom_reward_function.path={mine}": two,
    }
    cold = inputs_of(training(out, "model.path=some/model", command="sft"))
    assert cold == {"data.train_files": [None], "data.val_files": [], "model.path": "some/model"}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda data, model: (data / "train.parquet").write_text("other"), "data.train_files"),
        (lambda data, model: (data / "test.parquet").unlink(), "data.val_files"),
        (lambda data, model: shutil.copy(model.parent / "B" / WEIGHTS, model / WEIGHTS), "model.path"),
    ],
)
def test_a_change_of_what_only_the_recipe_names_is_refused(models, tmp_path, change, key):
    """The quickstart's recipe names its data and its model, and no argument does."""
    out = tmp_path / "run" / "rl"
    data, model = out / "data", out / "model"
    data.mkdir(parents=True)
    for name in ("train.parquet", "test.parquet"):
        (data / name).write_text(name)
    shutil.copytree(models / "A", model)
    shutil.copytree(models / "B", out / "B")
    (out / "config.yaml").write_text("{trainer: {total_training_steps: 4}}")
    stage = training(out)
    write_stages(tmp_path / "run", [stage], {"rl": inputs_of(stage)})
    assert list(changes(tmp_path / "run", [stage])) == []
    change(data, model)
    (said,) = changes(tmp_path / "run", [stage])
    assert f"stage rl began with another content of {key}; set it back" in said.replace("actor_rollout_ref.", "")


def test_a_supervised_stage_on_several_gpus_is_started_by_torchrun(tmp_path):
    arguments = ("recipe=quickstart", "trainer.n_gpus_per_node=4")
    line = command_of(Stage("cold-start", "sft", arguments, tmp_path))
    assert line[1:] == [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4", "-m", "verl_medu1.run.sft"),
        *arguments,
    ]
    assert command_of(Stage("cold-start", "sft", arguments[:1], tmp_path))[2:4] == ["verl_medu1.cli.app", "sft"]


def test_an_export_of_a_run_without_a_model_has_its_checkpoint_as_input(tmp_path):
    step = tmp_path / "rl" / "checkpoints" / "global_step_2"
    (step / "actor").mkdir(parents=True)
    (step / "actor" / "weights.distcp").write_bytes(b"1234")
    (step / "data.pt").write_bytes(b"1")
    (tmp_path / "rl" / "checkpoints" / TRACKER).write_text("2")
    stage = Stage("whole", "export", (str(tmp_path / "rl"),), tmp_path / "whole", ("rl",))
    [files] = inputs_of(stage).values()
    assert files["checkpoints/global_step_2/actor/weights.distcp"] == "4"


def test_a_broken_configuration_of_a_stage_is_one_sentence(tmp_path):
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(ValueError, match=r"config\.yaml can't be read"):
        state_of(Stage("rl", "train", (), tmp_path))


def test_a_stage_cut_off_before_its_first_checkpoint_does_not_hinder_the_next(tmp_path):
    (tmp_path / "cold" / "checkpoints").mkdir(parents=True)
    arguments = ("recipe=quickstart", f"actor_rollout_ref.model.path={tmp_path / 'cold'}")
    assert list(stage_violations(Stage("rules", "train", arguments, tmp_path / "rules", ("cold",)))) == []
