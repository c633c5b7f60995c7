"""The planner's bytes of a model that sees, under FSDP2, against the tensors of verl's engine on two ranks."""

import json

import pytest
import torch

from tests.cpu.image_rows import IMAGE_PIXELS, write_model
from tests.cpu.memory import ROWS
from tests.cpu.ranks import run_ranks
from tests.cpu.test_fsdp_memory import FLOAT32, planned
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.fsdp_activations import kept_bytes
from verl_medu1.plan.fsdp_tower import tower_of
from verl_medu1.plan.settings import Settings

LORA = {"peft_rank": 8, "gradient_checkpointing": False}
FROZEN = {**LORA, "peft_excluded": ".*visual.*"}


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("qwen2_5_vl", FROZEN),
        ("qwen3_vl", {"gradient_checkpointing": False}),
        pytest.param("qwen2_5_vl", {}, marks=pytest.mark.long),
        pytest.param("qwen2_5_vl", {"gradient_checkpointing": False}, marks=pytest.mark.long),
        pytest.param("qwen2_5_vl", LORA, marks=pytest.mark.long),
        pytest.param("qwen3_vl", FROZEN, marks=pytest.mark.long),
    ],
)
def test_bytes_of_each_rank(model_type, settings, tmp_path):
    write_model(model_type, tmp_path / "model")
    planned_as = Settings(
        strategy="fsdp2",
        gpus_per_node=2,
        attn_implementation="sdpa",
        dynamic=False,
        micro_batch=2,
        prompt=ROWS[0] // 2,
        response=ROWS[0] // 2,
        image_side=IMAGE_PIXELS,
        **FLOAT32,
        **settings,
    )
    keys = {
        "model": {
            "lora_rank": planned_as.peft_rank,
            "target_modules": planned_as.peft_targets,
            "exclude_modules": planned_as.peft_excluded,
            "enable_gradient_checkpointing": planned_as.gradient_checkpointing,
            "use_remove_padding": False,
        },
        "engine": {"model_dtype": "fp32", "mixed_precision": {"param_dtype": "fp32", "reduce_dtype": "fp32"}},
    }
    run_ranks("tests.cpu.fsdp_worker", 2, tmp_path / "model", json.dumps(keys), tmp_path)
    model = find_architecture(str(tmp_path / "model"))
    of_tower = tower_of(model, planned_as)
    for rank in range(2):
        measured = torch.load(tmp_path / f"rank{rank}.pt")
        for part, size in planned(model, planned_as).items():
            assert measured[part] == size, part
        # The CPU's cross entropy keeps its log-softmax, in float32.
        of_loss = planned_as.micro_batch_tokens * 4 * model.vocabulary
        kept = kept_bytes(model, planned_as) + of_tower.kept - of_tower.given + of_loss
        assert kept == pytest.approx(measured["activations"], rel=0.1)
