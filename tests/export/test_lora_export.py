"""LoRA on two ranks: what changes, what vLLM gets, how training resumes, and what `medu1 export` makes of it."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.cpu.ranks import run_ranks
from tests.export.test_export import largest_difference, medu1
from tests.twins.twin import Twin, write_model

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture(
    scope="module",
    params=[
        "fsdp2",
        pytest.param(json.dumps({"tensor_model_parallel_size": 2}), id="tp2"),
        pytest.param(json.dumps({"pipeline_model_parallel_size": 2}), id="pp2"),
    ],
)
def trained(request, tmp_path_factory) -> tuple[Path, dict[str, list[dict]]]:
    """A folder with model and run, and what the ranks said: of two steps, and of the second after a restart."""
    folder = tmp_path_factory.mktemp("lora")
    write_model(Twin("qwen2", False, 2, False, tp=2, pp=2), folder / "model")
    (folder / "run").mkdir()
    said = {}
    for begin in ("0", "1"):
        run_ranks("tests.export.lora_worker", 2, folder / "model", request.param, folder / "run", begin)
        said[begin] = [torch.load(folder / "run" / f"{begin}-rank{rank}.pt") for rank in range(2)]
    return folder, said


def log_probs(said: list[dict], step: int) -> torch.Tensor:
    return next(rank["steps"][step] for rank in said if rank["steps"][step] is not None)


def test_only_the_adapters_change(trained):
    _, said = trained
    for rank in said["0"]:
        adapters = {name for name in rank["changed"] if "lora_" in name or ".adapter." in name}
        assert adapters and {name for name, changed in rank["changed"].items() if changed} == adapters


def test_a_restart_changes_nothing(trained):
    _, said = trained
    assert torch.equal(log_probs(said["0"], 0), log_probs(said["1"], 0))
    assert torch.equal(log_probs(said["0"], 1), log_probs(said["1"], 1))
    assert (log_probs(said["0"], 0) - log_probs(said["0"], 1)).abs().max() > 1e-3


def test_vllm_gets_the_merged_weights(trained, tmp_path):
    """Under the base model's names and in float32, they compute what the trainer computes with the adapters beside."""
    folder, said = trained
    sent = {name: tensor for rank in said["0"] for name, tensor in rank["sent"].items()}
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype="auto")
    assert {tensor.dtype for tensor in sent.values()} == {torch.float32}
    model.load_state_dict(sent)
    model.save_pretrained(tmp_path)
    assert largest_difference(tmp_path, log_probs(said["0"], 1)) < 1e-5


def test_the_export_computes_what_the_training_engine_computed(trained, tmp_path):
    folder, said = trained
    refused = medu1(folder / "run", "--out", tmp_path / "out")
    assert refused.returncode == 2 and "name the model they are of with --base" in refused.stderr
    done = medu1(folder / "run", "--base", folder / "model", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"they differ by (\S+) at most", done.stdout)[1]) < 1e-5
    after_one_step = log_probs(said["0"], 0)
    assert largest_difference(tmp_path / "out", after_one_step) < 1e-5
    assert largest_difference(folder / "model", after_one_step) > 1e-3

    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype="auto")
    adapted = PeftModel.from_pretrained(base, tmp_path / "out" / "adapter").merge_and_unload()
    adapted.save_pretrained(tmp_path / "adapted")
    assert largest_difference(tmp_path / "adapted", after_one_step) < 1e-5
    assert "the folder `adapter` has the adapters" in (tmp_path / "out" / "README.md").read_text().replace("\n", " ")


def test_a_base_that_is_not_there_or_has_other_sizes_is_refused(trained, tmp_path):
    folder, _ = trained
    write_model(Twin("qwen2", False, 2, False, tp=2, pp=1), tmp_path / "other")
    other = medu1(folder / "run", "--base", tmp_path / "other", "--out", tmp_path / "out")
    assert other.returncode == 2 and "has num_hidden_layers 1, and 2 was trained" in other.stderr
    missing = medu1(folder / "run", "--base", tmp_path / "none", "--out", tmp_path / "out")
    assert missing.returncode == 2 and "can't be loaded" in missing.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "length"), [("adapter_model.safetensors", 5), ("adapter_config.json", 1)])
def test_adapters_that_are_cut_off_are_refused_by_name(trained, tmp_path, name, length):
    folder, _ = trained
    if not list((folder / "run").rglob(name)):
        pytest.skip("FSDP2's adapters are in its shards, whose test is in test_export_checkpoint.py")
    run = shutil.copytree(folder / "run", tmp_path / "run")
    for file in run.rglob(name):
        file.write_bytes(file.read_bytes()[:length])
    done = medu1(run, "--base", folder / "model", "--out", tmp_path / "out")
    assert done.returncode == 2 and f"{name} of the adapters can't be read" in done.stderr, done.stderr
