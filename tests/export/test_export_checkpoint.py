"""Which folders are checkpoints, what is refused and how, and what the model card says. No engine is started."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.cpu.small_engine import token_rows
from tests.twins.twin import Twin, write_model
from verl_medu1.cli.prepare import prepare
from verl_medu1.export.card import write_card
from verl_medu1.export.checkpoint import Weights, find_checkpoint
from verl_medu1.export.export import export
from verl_medu1.export.shards import load_fsdp_shard, load_megatron, read_metadata
from verl_medu1.run_folder.checkpoints import TRACKER
from verl_medu1.training.log_prob_record import write


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(Twin("qwen2", False, 2, False, tp=1, pp=1), folder)
    return folder


@pytest.fixture
def run(model, tmp_path) -> Path:
    """A run of one FSDP rank, whose weights are whole tensors, saved in bfloat16."""
    actor = tmp_path / "run" / "checkpoints" / "global_step_3" / "actor"
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (actor / "huggingface").mkdir(parents=True, exist_ok=True)
        (actor / "huggingface" / name).write_bytes((model / name).read_bytes())
    (actor / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 1}')
    weights = {name: tensor.bfloat16() for name, tensor in load_file(model / "model.safetensors").items()}
    torch.save(weights, actor / "model_world_size_1_rank_0.pt")
    (actor.parents[1] / TRACKER).write_text("3")
    return tmp_path / "run"


@pytest.fixture
def megatron(model, tmp_path) -> Path:
    """A distributed checkpoint, as torch writes it, of one tensor."""
    actor = tmp_path / "global_step_9" / "actor"
    (actor / "model" / "huggingface").mkdir(parents=True)
    (actor / "model" / "huggingface" / "config.json").write_bytes((model / "config.json").read_bytes())
    shards = actor / "model" / "dist_ckpt"
    torch.distributed.checkpoint.save({"weight": torch.arange(12.0).view(3, 4)}, checkpoint_id=shards, no_dist=True)
    (shards / "metadata.json").write_text('{"sharded_backend": "torch_dist"}')
    return actor


def record_of(model: Path, actor: Path, dtype: str) -> None:
    """What the model itself finds likely, as if an engine had said it."""
    tokens = token_rows(0)[1]
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(tokens[None]).logits[0]
    log_probs = torch.log_softmax(logits, -1)[:-1].gather(-1, tokens[1:, None])[:, 0]
    write(actor, tokens.tolist(), log_probs.tolist(), dtype)


def test_a_run_a_step_and_its_actor_are_one_checkpoint(run):
    step = run / "checkpoints" / "global_step_3"
    found = [find_checkpoint(given) for given in (run, run / "checkpoints", step, step / "actor")]
    assert len(set(found)) == 1 and found[0].step == 3 and found[0].run == run and found[0].weights == Weights.fsdp


def test_a_supervised_checkpoint_has_no_actor(run):
    step = run / "checkpoints" / "global_step_3"
    for file in (step / "actor").iterdir():
        file.rename(step / file.name)
    (step / "actor").rmdir()
    assert find_checkpoint(run).folder == step


def test_what_is_exported_keeps_its_precision_and_says_when_nothing_was_compared(run, model, tmp_path):
    _, comparison = export(run, tmp_path / "out")
    assert comparison is None and "Not compared" in (tmp_path / "out" / "README.md").read_text()
    exported, original = load_file(tmp_path / "out" / "model.safetensors"), load_file(model / "model.safetensors")
    assert exported.keys() == original.keys()
    assert all(torch.equal(tensor, original[name].bfloat16()) for name, tensor in exported.items())
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    assert os.stat(tmp_path / "out" / "model.safetensors").st_mode == os.stat(tmp_path / "out" / "config.json").st_mode


def test_the_record_tells_the_trained_model_from_another(run, model, tmp_path):
    actor = find_checkpoint(run).folder
    record_of(model, actor, "bfloat16")
    _, comparison = export(run, tmp_path / "out")
    assert comparison is not None and comparison.same and comparison.tokens == 15 and comparison.largest > 0
    # Two layers change places.
    weights = load_fsdp_shard(actor / "model_world_size_1_rank_0.pt")
    first, norm = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight"
    torch.save(weights | {first: weights[norm], norm: weights[first]}, actor / "model_world_size_1_rank_0.pt")
    with pytest.raises(ValueError, match="is not the model that was trained"):
        export(run, tmp_path / "other")
    assert not list(tmp_path.glob("other*"))


def test_the_comparison_is_in_the_trained_precision_whatever_the_configuration_says(run, model, tmp_path):
    """Float32 weights beside a config.json that says bfloat16, as verl writes them."""
    actor = find_checkpoint(run).folder
    torch.save(load_file(model / "model.safetensors"), actor / "model_world_size_1_rank_0.pt")
    config = json.loads((actor / "huggingface" / "config.json").read_text())
    (actor / "huggingface" / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    record_of(model, actor, "float32")
    shutil.copytree(actor, tmp_path / "bridge")
    (tmp_path / "bridge" / "model_world_size_1_rank_0.pt").unlink()
    shutil.copy(model / "model.safetensors", tmp_path / "bridge" / "huggingface")
    for number, given in enumerate((run, tmp_path / "bridge")):
        out = tmp_path / f"out{number}"
        _, comparison = export(given, out)
        assert comparison is not None and comparison.largest < 1e-5
        assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
        assert AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype == torch.float32


def test_the_card_names_transformers_5_where_4_would_miss_the_rope_base(run, tmp_path):
    export(run, tmp_path / "plain")
    assert "needs transformers 5" not in (tmp_path / "plain" / "README.md").read_text()
    (tmp_path / "layered").mkdir()
    rope = {"full_attention": {"rope_theta": 1e6, "rope_type": "default"}}
    (tmp_path / "layered" / "config.json").write_text(json.dumps({"rope_parameters": rope}))
    write_card("layered", find_checkpoint(run), tmp_path / "layered", None, [])
    assert "needs transformers 5" in (tmp_path / "layered" / "README.md").read_text()


def test_the_card_states_data_recipe_versions_and_evaluation(run, model, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    manifest = {
        "sources": {"medqa": {"licence": "MIT", "release": "official", "hub": "a/b"}, "synthetic-calc": {}},
        "rows": {"train": {"MedQA": 7}},
        "files": {"train.parquet": {"sha256": "abc123"}},
    }
    (data / "manifest.json").write_text(json.dumps(manifest))
    config = f"""
    data: {{train_files: {data}/train.parquet, train_batch_size: 4}}
    actor_rollout_ref: {{model: {{path: Qwen/Qwen2.5-3B-Instruct}}, rollout: {{n: 8}}}}
    trainer: {{experiment_name: my-run}}
    """
    (run / "config.yaml").write_text(config)
    record_of(model, find_checkpoint(run).folder, "bfloat16")
    figures = {"questions": 5, "samples": 20, "accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "format": 1}
    summary = {"model": {"path": "x"}, "overall": figures, "data_source": {"MedQA": figures}}
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "summary.json").write_text(json.dumps(summary))
    export(run, tmp_path / "out", tmp_path / "eval")
    card = (tmp_path / "out" / "README.md").read_text()
    for part in (
        "# my-run", "base_model: Qwen/Qwen2.5-3B-Instruct", "step 3", "not medical advice",
        "`train.parquet`, SHA-256 `abc123`: MedQA 7 rows", "- medqa, licence: MIT; official; a/b",
        "- synthetic-calc, licence: unknown", "`Qwen/Qwen2.5-3B-Instruct`, trained by reinforcement learning",
        "| questions of a step | 4 |", "| answers per question | 8 |",
        "| MedQA | 0.500 | 0.250 to 0.750 | 1.000 |", "| torch | ", "over 15 tokens (bfloat16)",
    ):  # fmt: skip
        assert part in card, (part, card)


def test_the_card_says_that_a_test_set_was_trained_on(run, tmp_path):
    records = [
        {"id": str(number), "question": f"{number}?", "options": {"A": "x", "B": "y"}, "label": "A"}
        for number in range(20)
    ]
    (tmp_path / "medxpertqa.json").write_text(json.dumps(records))
    sources = ["synthetic-calc=20", f"medxpertqa={tmp_path}/medxpertqa.json"]
    for place, (keep, file, rows) in enumerate([(True, "train", 18), (False, "train", 0), (False, "test", 20)]):
        prepare(sources, tmp_path / "data", keep_test_rows=keep)
        (run / "config.yaml").write_text(f"data: {{train_files: {tmp_path}/data/{file}.parquet}}")
        export(run, tmp_path / f"out-{place}")
        card = (tmp_path / f"out-{place}" / "README.md").read_text()
        assert (f"**{rows} of the rows are of MedXpertQA" in card) == bool(rows)
        assert ("**The model was trained on rows of MedXpertQA" in card) == bool(rows)


def test_a_wrong_evaluation_is_refused_before_anything_is_merged(run, tmp_path, monkeypatch):
    monkeypatch.setattr("verl_medu1.export.merge.merge", lambda *_: pytest.fail("merged"))
    with pytest.raises(ValueError, match=r"--evaluation .* has no summary\.json"):
        export(run, tmp_path / "out", tmp_path)
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(ValueError, match=r"summary\.json is not valid JSON object"):
        export(run, tmp_path / "out", tmp_path)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("content", [b"{", b"\x80\x81\x00", b"- a list"])
def test_a_broken_configuration_is_refused_before_anything_is_merged(run, tmp_path, monkeypatch, content):
    monkeypatch.setattr("verl_medu1.export.merge.merge", lambda *_: pytest.fail("merged"))
    (run / "config.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.yaml (can't be read|is not the configuration of a run).*; copy it"):
        export(run, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_folder_in_an_export_can_be_entered(model, tmp_path):
    actor = tmp_path / "global_step_1" / "actor"
    shutil.copytree(model, actor / "huggingface")
    (actor / "huggingface" / "more").mkdir()
    (actor / "huggingface" / "more" / "file.json").write_text("{}")
    export(actor, tmp_path / "out")
    assert (tmp_path / "out" / "more").stat().st_mode & 0o700 == 0o700
    assert (tmp_path / "out" / "more" / "file.json").read_text() == "{}"


def test_whole_tensors_of_a_distributed_checkpoint(megatron):
    checkpoint = find_checkpoint(megatron)
    assert checkpoint.weights == Weights.megatron and checkpoint.step == 9 and checkpoint.run is None
    assert torch.equal(load_megatron(checkpoint.shards)["weight"], torch.arange(12.0).view(3, 4))


def test_a_missing_or_cut_shard_is_refused_by_name(run, megatron, tmp_path):
    (run / "checkpoints" / "global_step_3" / "actor" / "fsdp_config.json").write_text('{"world_size": 2}')
    with pytest.raises(ValueError, match=r"model_world_size_2_rank_0\.pt is missing"):
        export(run, tmp_path / "out")
    [shard] = (megatron / "model" / "dist_ckpt").glob("*.distcp")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=rf"{shard.name} is cut off"):
        export(megatron, tmp_path / "out")
    shard.unlink()
    with pytest.raises(ValueError, match=rf"{shard.name} is missing"):
        export(megatron, tmp_path / "out")
    (megatron / "model" / "dist_ckpt" / ".metadata").unlink()
    with pytest.raises(ValueError, match=r"\.metadata is missing"):
        export(megatron, tmp_path / "out")


def test_a_missing_file_of_a_hugging_face_folder_is_refused_by_name(megatron, tmp_path):
    folder = megatron / "model" / "huggingface"
    (megatron / "model" / "dist_ckpt" / "metadata.json").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"model-00002-of-00002\.safetensors is missing"):
        export(megatron, tmp_path / "out")


def test_what_is_no_checkpoint_is_told(run, tmp_path):
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    (tmp_path / "folder").mkdir()
    for given, message in {
        "nowhere": "is not a folder",
        "empty": "holds no whole checkpoint",
        "folder": "holds no weights of a model",
    }.items():
        with pytest.raises(ValueError, match=message):
            export(tmp_path / given, tmp_path / "out")
    with pytest.raises(ValueError, match=r"--out .* exists"):
        export(run, tmp_path / "folder")
    (run / "checkpoints" / TRACKER).write_text("4")
    with pytest.raises(ValueError, match="names global_step_4, which is not there"):
        export(run, tmp_path / "out")
    (run / "checkpoints" / TRACKER).write_text("")
    with pytest.raises(ValueError, match="was cut off"):
        export(run, tmp_path / "out")


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_nothing_of_a_strangers_checkpoint_is_executed(run, megatron, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harmful()}, find_checkpoint(run).folder / "model_world_size_1_rank_0.pt")
    with pytest.raises(ValueError, match=r"rank_0\.pt can't be read as weights"):
        export(run, tmp_path / "out")
    index = megatron / "model" / "dist_ckpt" / ".metadata"
    for harmful in (pickle.dumps(Harmful()), b"cos\nsystem\n(S'true'\ntR.", b"", b"not a pickle"):
        index.write_bytes(harmful)
        with pytest.raises(ValueError, match=r"\.metadata is not an index"):
            read_metadata(index.parent)
    assert not (tmp_path / "harm").exists() and not (tmp_path / "out").exists()


def test_a_base_is_of_adapters_only(run, model, tmp_path):
    with pytest.raises(ValueError, match=r"--base is .* holds a whole model; leave it out"):
        export(run, tmp_path / "out", base=str(model))
