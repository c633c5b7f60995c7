"""The planner's bytes with LoRA against the tensors of verl's Megatron engine on two ranks."""

import json
from dataclasses import replace

import pytest
import torch

from tests.cpu.memory import predicted, settings_of_engine
from tests.cpu.ranks import run_ranks
from tests.twins.twin import Twin, write_model
from verl_medu1.plan.architecture import find_architecture

TARGETS = ["linear_qkv", "linear_proj", "linear_fc1", "linear_fc2"]


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("twin", "targets"),
    [
        (Twin("qwen2", False, 4, False, tp=2, pp=1), TARGETS),
        (Twin("llama", False, 4, True, tp=1, pp=2), ["linear_qkv", "linear_fc2"]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_bytes_of_each_rank_and_what_is_trained(twin, targets, tmp_path):
    write_model(twin, tmp_path / "model")
    lora = {"rank": 8, "alpha": 16, "target_modules": targets}
    run_ranks("tests.cpu.lora_worker", 2, tmp_path / "model", json.dumps(twin.engine), json.dumps(lora), tmp_path)
    settings = replace(settings_of_engine(twin.engine, 2), lora_rank=8, lora_targets=targets)
    stages = predicted(find_architecture(str(tmp_path / "model")), settings)
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt")
        assert all(changed == (".adapter." in name) for name, changed in found["changed"].items())
        planned = stages[rank * settings.pp // 2]
        for part in ("weights", "gradients", "optimizer"):
            assert found["memory"][part] == planned[part], part
        assert planned["activations"] == pytest.approx(found["memory"]["activations"], rel=0.1)
