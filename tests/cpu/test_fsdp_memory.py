"""The planner's bytes under FSDP2 against the tensors of verl's engine on two ranks."""

import json

import pytest
import torch

from tests.cpu.memory import ROWS
from tests.cpu.ranks import run_ranks
from tests.twins.twin import Twin, write_model
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.fsdp import gradient_bytes, optimizer_bytes, rank_parts, weight_bytes
from verl_medu1.plan.fsdp_activations import kept_bytes
from verl_medu1.plan.settings import Settings

FLOAT32 = {"model_dtype": "fp32", "gathered_dtype": "fp32"}
QWEN2, QWEN3 = (Twin(family, tied, 4, False, tp=1, pp=2) for family, tied in (("qwen2", True), ("qwen3", False)))
LORA = {"peft_rank": 8, "peft_alpha": 16}


def planned(model, settings):
    parts = rank_parts(model, settings)
    return {
        "weights": weight_bytes(parts, settings),
        "gradients": gradient_bytes(model, parts, settings),
        "optimizer": optimizer_bytes(parts, settings),
    }


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("twin", "settings"),
    [
        (QWEN2, FLOAT32),
        (QWEN3, {**FLOAT32, "gradient_checkpointing": False}),
        (QWEN3, {**FLOAT32, **LORA, "gradient_checkpointing": False}),
        (QWEN2, {**LORA, "peft_targets": ["q_proj", "down_proj"], "model_dtype": "bf16"}),
    ],
)
def test_bytes_of_each_rank(twin, settings, tmp_path):
    write_model(twin, tmp_path / "model")
    planned_as = Settings(
        strategy="fsdp2", gpus_per_node=2, attn_implementation="sdpa", token_limit=2 * ROWS[0], **settings
    )
    keys = {
        "model": {
            "lora_rank": planned_as.peft_rank,
            "lora_alpha": planned_as.peft_alpha,
            "target_modules": planned_as.peft_targets,
            "enable_gradient_checkpointing": planned_as.gradient_checkpointing,
        },
        "engine": {
            "model_dtype": planned_as.model_dtype,
            "mixed_precision": {"param_dtype": planned_as.gathered_dtype, "reduce_dtype": "fp32"},
        },
    }
    run_ranks("tests.cpu.fsdp_worker", 2, tmp_path / "model", json.dumps(keys), tmp_path)
    model = find_architecture(str(tmp_path / "model"))
    for rank in range(2):
        measured = torch.load(tmp_path / f"rank{rank}.pt")
        for part, size in planned(model, planned_as).items():
            assert measured[part] == size, part
        # The CPU's cross entropy keeps its log-softmax, in float32.
        of_loss = planned_as.micro_batch_tokens * 4 * model.vocabulary
        assert kept_bytes(model, planned_as) + of_loss == pytest.approx(measured["activations"], rel=0.1)
