"""LoRA for a model that sees images: only adapters change, none of the vision tower, and the optimizer is small."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from tests.cpu.ranks import run_ranks
from verl_medu1.config.compose import compose_config
from verl_medu1.models.tiny_vl import write_tiny_vl_model

KEYS = ("lora_rank", "lora_alpha", "target_modules", "exclude_modules", "lora")
TEXTS = ["A woman of 64 years has had chest pain for two hours. Look, then answer with a letter."]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def trained(model: Path, keys: dict[str, Any], out: Path) -> dict[str, Any]:
    out.mkdir()
    run_ranks("tests.cpu.vision_lora_worker", 1, model, json.dumps(keys), out, seconds=250)
    found: dict[str, Any] = torch.load(out / "rank0.pt")
    return found


def test_only_the_adapters_of_the_language_model_change(tmp_path: Path) -> None:
    write_tiny_vl_model(TEXTS, tmp_path / "model")
    model = OmegaConf.to_container(compose_config(["recipe=rarl-cpu"]).actor_rollout_ref.model)
    assert isinstance(model, dict)
    adapted = trained(tmp_path / "model", {key: model[key] for key in KEYS}, tmp_path / "adapted")
    adapters = {name for name in adapted["changed"] if "lora_" in name}
    # Bit by bit: two updates have changed each adapter and nothing else.
    assert {name for name, changed in adapted["changed"].items() if changed} == adapters
    assert adapters and not any("visual" in name for name in adapters)
    assert any("visual" in name for name in adapted["changed"])

    full = trained(tmp_path / "model", {}, tmp_path / "full")
    assert any(changed and "visual" in name for name, changed in full["changed"].items())
    assert full["optimizer"] > 10 * adapted["optimizer"]
    print(f"optimizer: {adapted['optimizer']:,} bytes with LoRA, {full['optimizer']:,} in full training")
