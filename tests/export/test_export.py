"""Engines train a step and save; what `medu1 export` makes of it computes what they computed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.cpu.ranks import run_ranks
from tests.export.worker import PROMPTS
from tests.twins.twin import Twin, write_model

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(400)]
TP2, PP2 = {"tensor_model_parallel_size": 2}, {"pipeline_model_parallel_size": 2}


def medu1(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verl_medu1.cli.app", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def largest_difference(model: Path, trained: torch.Tensor) -> float:
    """Over the whole vocabulary: models with equal log-probabilities have equal logits, up to a constant."""
    exported = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    assert exported.dtype == torch.float32
    with torch.no_grad():
        logits = torch.stack([exported(torch.tensor([prompt])).logits[0, -1] for prompt in PROMPTS])
    return float((torch.log_softmax(logits, -1) - trained).abs().max())


@pytest.mark.parametrize(
    ("layout", "tied"),
    [
        pytest.param("fsdp2", True, id="fsdp2"),
        pytest.param(json.dumps(TP2), True, id="tp2"),
        pytest.param(json.dumps(PP2), False, id="pp2"),
    ],
)
def test_an_export_computes_what_the_training_engine_computed(tmp_path, layout, tied):
    model, run, out = tmp_path / "model", tmp_path / "run", tmp_path / "out"
    write_model(Twin("qwen2", tied, 2, False, tp=2, pp=2), model)
    run.mkdir()
    run_ranks("tests.export.worker", 2, model, layout, run)
    trained = torch.load(next(run.glob("rank*.pt")))

    done = medu1(run, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "shards" in done.stdout and "they differ by" in done.stdout
    assert float(re.search(r"they differ by (\S+) at most", done.stdout)[1]) < 1e-5
    assert largest_difference(out, trained) < 1e-5
    # One step was trained: the model it began with is another one.
    assert largest_difference(model, trained) > 1e-3
    assert len(AutoTokenizer.from_pretrained(out)) == len(AutoTokenizer.from_pretrained(model))
    assert {file.suffix for file in out.iterdir()} <= {".json", ".md", ".safetensors", ".jinja"}
    assert (out / "generation_config.json").is_file() and "Not compared" not in (out / "README.md").read_text()

    if layout != "fsdp2":
        # The folder that verl's bridge wrote, as most runs have nothing else.
        step = run / "checkpoints" / "global_step_1"
        shutil.rmtree(step / "actor" / "model" / "dist_ckpt")
        done = medu1(step, "--out", tmp_path / "bridge")
        assert done.returncode == 0 and "a Hugging Face folder" in done.stdout, done.stderr
        assert largest_difference(tmp_path / "bridge", trained) < 1e-5
