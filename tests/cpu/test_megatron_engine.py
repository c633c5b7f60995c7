"""verl's Megatron engine on gloo, two real processes: against Hugging Face, the planner, and itself uninterrupted."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.cpu.megatron_worker import STEPS
from tests.cpu.memory import compared
from tests.cpu.ranks import run_ranks
from tests.cpu.small_engine import token_rows
from tests.twins.twin import Twin, write_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Two layers with tied embeddings, which both layouts can cut."""
    folder = tmp_path_factory.mktemp("model")
    write_model(Twin("qwen2", True, 2, False, tp=2, pp=2), folder)
    return folder


def run(model: Path, out: Path, tp: int, pp: int, *options: str) -> list[dict]:
    """Train in tp * pp processes; one result per rank."""
    out.mkdir()
    run_ranks("tests.cpu.megatron_worker", tp * pp, model, tp, pp, out, *options)
    return [torch.load(out / f"rank{rank}.pt") for rank in range(tp * pp)]


@pytest.mark.parametrize(("tp", "pp"), [(2, 1), (1, 2)])
def test_log_probs_memory_and_resume(model, tmp_path, tp, pp):
    checkpoint = str(tmp_path / "checkpoint")
    straight = run(model, tmp_path / "straight", tp, pp, "--save", checkpoint)

    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    log_probs = next(result["log_probs"] for result in straight if "log_probs" in result)
    for row, tokens in zip(log_probs, token_rows(0), strict=True):
        expected = torch.log_softmax(reference(tokens[None]).logits[0], -1)[:-1].gather(-1, tokens[1:, None])[:, 0]
        assert torch.allclose(row[: len(tokens) - 1], expected, atol=1e-5)

    layout = {"tensor_model_parallel_size": tp, "pipeline_model_parallel_size": pp}
    for part, planned, measured in compared(model, layout, [result["memory"] for result in straight]):
        assert planned == pytest.approx(measured, rel=0.1), part

    resumed = run(model, tmp_path / "resumed", tp, pp, "--load", checkpoint)
    for one, other in zip(straight, resumed, strict=True):
        for before, after in zip(one["weights"], other["weights"], strict=True):
            assert torch.allclose(before, after, atol=1e-6)
        for before, after in zip(one["adam"], other["adam"], strict=True):
            assert after["step"] == before["step"] == STEPS
            assert torch.allclose(before["exp_avg"], after["exp_avg"], atol=1e-7)
            assert torch.allclose(before["exp_avg_sq"], after["exp_avg_sq"], atol=1e-9)
        # One step tensor per parameter: a shared one would be counted up once per parameter.
        assert other["step_tensors"] == len(other["adam"])
