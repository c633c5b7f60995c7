"""`medu1 eval` and `medu1 report` as a user calls them, short of starting the engine."""

import doctest
import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

import verl_medu1.evaluate
from verl_medu1.cli.compare import compare
from verl_medu1.cli.evaluate import evaluate
from verl_medu1.cli.report import report
from verl_medu1.evaluate.generation import check_lengths, load_tokenizer, set_environment
from verl_medu1.evaluate.models import fingerprint, resolve_model
from verl_medu1.evaluate.sampling import Sampling
from verl_medu1.models.tiny import write_tiny_model


def _run(command: Callable, *arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _refused(command: Callable, *arguments: object) -> str:
    """The sentence with which the command refuses."""
    result = _run(command, *arguments)
    assert isinstance(result.exception, ValueError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command of this file may get as far as starting the engine."""

    def started(*_: object) -> None:
        raise AssertionError("the engine would have been started")

    monkeypatch.setattr("verl_medu1.evaluate.generation.start_engine", started)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    row = {
        "data_source": "MedQA",
        "prompt": [{"role": "user", "content": "Which?"}],
        "reward_model": {"style": "rule", "ground_truth": "B"},
        "extra_info": {"row_id": "1", "options": [{"letter": "B", "text": "b"}], "budget_mode": "none",
                       "budget_tokens": 0, "budget_counts": "response"},
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


def test_compare_prints_both_and_the_change(tmp_path: Path, sample: Callable, write_evaluation: Callable) -> None:
    write_evaluation(tmp_path / "before", [sample(str(i), right=i < 2) for i in range(10)])
    write_evaluation(tmp_path / "after", [sample(str(i), right=i < 9) for i in range(10)])
    for options, group in (([], "calculation"), (["--by", "data_source"], "demo_calc")):
        result = _run(compare, tmp_path / "before", tmp_path / "after", *options)
        assert result.exit_code == 0, result.output
        for expected in (group, "20.0 [", "90.0 [", "+70.0 [", "0.016", "overall"):
            assert expected in result.output


def test_compare_refuses_what_cannot_be_compared(tmp_path: Path, sample: Callable, write_evaluation: Callable) -> None:
    write_evaluation(tmp_path / "before", [sample("a")])
    assert "has no summary.json; make it with `medu1 eval" in _refused(
        compare, tmp_path / "before", tmp_path / "nowhere"
    )
    write_evaluation(tmp_path / "after", [sample("b")])
    assert "no question in common" in _refused(compare, tmp_path / "before", tmp_path / "after")
    write_evaluation(tmp_path / "other", [sample("a", ground_truth="7")])
    assert "Row 'a' has different gold answers" in _refused(compare, tmp_path / "before", tmp_path / "other")
    row = {name: value for name, value in sample("a").items() if name not in ("asked_as", "acc")}
    (tmp_path / "other" / "samples.jsonl").write_text(json.dumps(row) + "\n")
    refusal = _refused(compare, tmp_path / "before", tmp_path / "other")
    assert "Line 1 of" in refusal and "samples.jsonl has no asked_as, acc; make it with `medu1 eval" in refusal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--model, --data, --out is missing"),
        (["--model", "m", "--out", "o"], "--data is missing"),
        (["--samples", "0"], "--samples is 0; it must be at least 1"),
        (["--max-tokens", "-1"], "--max-tokens is -1"),
        (["--batch", "0"], "--batch is 0"),
        (["--temperature", "-0.5"], "--temperature is -0.5"),
        (["--temperature", "nan"], "--temperature is nan"),
        (["--temperature", "0", "--samples", "4"], "--samples is 4 with --temperature 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--dtype", "float23"], "--dtype is 'float23'; choose one of auto, float32"),
        (["--data", "nothing.parquet"], "nothing.parquet does not exist"),
        (["--against", "nowhere"], "nowhere has no summary.json"),
        (["--endpoint", "127.0.0.1:8000"], "--endpoint '127.0.0.1:8000' is not an address"),
        (["--endpoint", "http://127.0.0.1:1/v1", "--api-key-env", "MEDU1_NO_KEY"], "no such variable is set"),
        (["--api-key-env", "MEDU1_NO_KEY"], "--api-key-env MEDU1_NO_KEY is for --endpoint"),
        (["--prompts", "nothing.yaml"], "--prompts nothing.yaml is for --formats"),
        (["--formats", "--prompts", "nothing.yaml"], "--prompts nothing.yaml can't be read"),
        (["--formats"], "The prompt of row '1' was not made of --prompts"),
    ],
)
def test_eval_refuses_wrong_options(data: Path, tmp_path: Path, options: list[str], message: str) -> None:
    complete = ["--model", tmp_path, "--data", data, "--out", tmp_path / "out"]
    assert message in _refused(evaluate, *([] if "missing" in message else complete), *options)
    assert not (tmp_path / "out").exists()


def test_eval_refuses_a_folder_that_cannot_be_made(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = ["--model", "m", "--endpoint", "http://127.0.0.1:9/v1"]
    sentence = _refused(evaluate, *server, "--data", data, "--out", tmp_path / "file" / "out")
    assert "can't be made" in sentence


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no config.json"),
        (["config.json"], "can't be loaded with its tokenizer; give a folder in Hugging Face's format"),
        (None, "can't be loaded with its tokenizer; give a folder in Hugging Face's format"),
        (
            ["actor/model/dist_ckpt/__0_0.distcp"],
            "without weights in Hugging Face's format; write them with `medu1 export`",
        ),
        (["actor/model_world_size_2_rank_0.pt"], "write them with `medu1 export`"),
        (["checkpoints/global_step_3/actor/x.pt"], "holds no whole checkpoint"),
    ],
)
def test_eval_refuses_what_is_no_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str] | None, message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = tmp_path / "model"
    if files is not None:
        model.mkdir()
    for name in files or []:
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text("{}")
    assert message in _refused(evaluate, "--model", model, "--data", data, "--out", tmp_path / "out")


def test_a_training_means_its_newest_checkpoint_and_a_checkpoint_itself(tmp_path: Path) -> None:
    for step in (3, 6):
        folder = tmp_path / "run" / "checkpoints" / f"global_step_{step}" / "actor" / "model" / "huggingface"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text("")
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("3")  # 6 is half written
    found = {3: resolve_model(str(tmp_path / "run")), 6: resolve_model(str(checkpoints / "global_step_6"))}
    for step, folder in found.items():
        assert folder == str(checkpoints / f"global_step_{step}" / "actor" / "model" / "huggingface")
    assert resolve_model(found[3]) == found[3]
    assert resolve_model("organisation/name") == "organisation/name"


def test_a_folder_above_a_run_is_refused_with_the_run(tmp_path: Path) -> None:
    for place in ("one/run/checkpoints/global_step_3/actor/model/huggingface", "one/alone/global_step_4/huggingface"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "config.json").write_text("{}")
        (tmp_path / place / "model.safetensors").write_text("")
    with pytest.raises(ValueError, match=f"but 2 stand below it; give one, such as {tmp_path}/one/alone/global_step_4"):
        resolve_model(str(tmp_path))
    shutil.rmtree(tmp_path / "one" / "alone")
    with pytest.raises(ValueError, match=f"such as {tmp_path}/one/run[.]"):
        resolve_model(str(tmp_path / "one"))
    # The folder of the checkpoints means the newest of them.
    (tmp_path / "one/run/checkpoints/latest_checkpointed_iteration.txt").write_text("3")
    assert resolve_model(str(tmp_path / "one/run/checkpoints")) == resolve_model(str(tmp_path / "one/run"))


def test_weights_that_are_missing_or_cut_off_are_one_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    write_tiny_model(["Which dose of the drug is right?"] * 20, model, hidden=8, layers=1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    asked = (evaluate, "--model", model, "--data", data, "--out", tmp_path / "out")
    for content in (whole[:-100], whole[:50], b"", b"version https://git-lfs.github.com/spec/v1"):
        weights.write_bytes(content)
        assert f"{weights} is cut off or no safetensors" in _refused(*asked)
    weights.unlink()
    assert f"--model {model} has no weights" in _refused(*asked)
    (model / "model-00001-of-00002.safetensors").write_bytes(whole)
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert "model-00002-of-00002.safetensors is missing" in _refused(*asked)
    assert not (tmp_path / "out").exists()


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = fingerprint(str(tmp_path))
    assert fingerprint(str(tmp_path)) == first
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert fingerprint(str(tmp_path)) != first


def test_a_tokenizer_without_chat_template_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    (tmp_path / "config.json").write_text("{}")
    tokenizer = SimpleNamespace(from_pretrained=lambda _: SimpleNamespace(chat_template=None))
    monkeypatch.setattr(transformers, "AutoTokenizer", tokenizer)
    with pytest.raises(ValueError, match="no chat template"):
        load_tokenizer(str(tmp_path))


def test_prompts_that_leave_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    text_config = SimpleNamespace(max_position_embeddings=100)
    config = SimpleNamespace(get_text_config=lambda: text_config)
    monkeypatch.setattr(transformers, "AutoConfig", SimpleNamespace(from_pretrained=lambda _: config))
    prompts = [40, 60, 70]
    assert check_lengths("m", prompts, 30) == 100
    with pytest.raises(ValueError, match=r"100 positions for 2 of 3 prompts \(the longest has 70 tokens\)"):
        check_lengths("m", prompts, 41)


def test_settings_of_the_user_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "VLLM_ENABLE_V1_MULTIPROCESSING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    environ: dict[str, str] = {"VLLM_CPU_KVCACHE_SPACE": "7"}
    monkeypatch.setattr("verl_medu1.evaluate.generation.os.environ", environ)
    set_environment("org/name")
    assert environ["VLLM_CPU_KVCACHE_SPACE"] == "7"
    assert environ["DO_NOT_TRACK"] == environ["VLLM_NO_USAGE_STATS"] == "1"
    assert environ["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    assert "HF_HUB_OFFLINE" not in environ
    set_environment(str(tmp_path))
    assert environ["HF_HUB_OFFLINE"] == "1"


def test_sampling_accepts_its_limits() -> None:
    assert Sampling(1, 0.0, 1, 0, 1, "bfloat16", 1).temperature == 0


def test_report_writes_the_page_and_says_what_is_missing(make_run: Callable) -> None:
    run = make_run(steps=2)
    (run / "config.yaml").unlink()
    result = _run(report, run)
    assert result.exit_code == 0, result.output
    assert "step 2" in result.output
    assert "run: config.yaml is not there" in result.output
    assert (run / "report.html").stat().st_size > 10_000
    assert "is not a folder" in _refused(report, run / "nowhere")


MODULES = [name for _, name, _ in pkgutil.iter_modules(verl_medu1.evaluate.__path__, "verl_medu1.evaluate.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert not result.failed
