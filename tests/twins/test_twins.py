"""Each recipe's twin through verl's Megatron engine on gloo, against Hugging Face and against another layout."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.composed import composed
from tests.cpu.memory import compared
from tests.cpu.ranks import run_ranks
from tests.cpu.small_engine import token_rows
from tests.twins.twin import EXPERTS, Twin, ranks_of, twin_of, write_model
from verl_medu1.config.compose import settings_in
from verl_medu1.config.recipes import recipe_names
from verl_medu1.plan.architecture import find_architecture

TWINS = [
    Twin("qwen2", True, 8, False, tp=1, pp=1),
    Twin("qwen2", False, 7, False, tp=1, pp=1),
    Twin("qwen2", False, 7, False, tp=2, pp=1),
    Twin("qwen2", False, 5, False, tp=2, pp=1),
    Twin("qwen2", False, 5, False, tp=2, pp=2),
    Twin("qwen2", False, 8, False, tp=2, pp=2),
    Twin("llama", False, 4, True, tp=2, pp=1),
    Twin("llama", False, 8, True, tp=2, pp=1),
    Twin("llama", False, 8, True, tp=2, pp=2),
    Twin("qwen3", False, 4, False, tp=2, pp=1),
    Twin("qwen3", False, 8, False, tp=2, pp=1),
    # What no recipe has: tied embeddings on two stages, interleaved and uneven ones.
    Twin("qwen2", True, 6, False, tp=2, pp=2),
    Twin("llama", False, 4, True, tp=2, pp=2, vpp=2),
    Twin("qwen3", False, 4, False, tp=2, pp=2, uneven=True),
    # Experts on their own ranks, with and without tensor parallelism around them; and split like the other matrices.
    Twin("qwen3_moe", False, 8, False, tp=2, pp=1, experts=EXPERTS, ep=2),
    Twin("qwen3_moe", False, 8, False, tp=1, pp=1, experts=EXPERTS, ep=2),
    Twin("qwen3_moe", False, 8, False, tp=2, pp=1, experts=EXPERTS, etp=2),
    Twin("qwen3_moe", False, 8, False, tp=1, pp=2, experts=EXPERTS),
    Twin("qwen3_moe", False, 8, False, tp=1, pp=1, experts=EXPERTS),
]

STEP_TOLERANCE = 1e-6  # a thousandth of what a step may move


def test_every_recipe_has_its_twin_here() -> None:
    for name in recipe_names():
        config = composed(f"recipe={name}")
        settings = settings_in(config)
        # The recipes of two cores are trained themselves, and FSDP2 trains Hugging Face's model.
        if settings.device != "cpu" and settings.strategy == "megatron":
            assert twin_of(find_architecture(config.actor_rollout_ref.model.path), settings) in TWINS, name


def run(model: Path, engine: dict, out: Path, *options: str) -> list[dict]:
    """One result per rank."""
    out.mkdir()
    world = ranks_of(engine)
    run_ranks("tests.twins.worker", world, model, json.dumps(engine), out, *options)
    return [torch.load(out / f"rank{rank}.pt") for rank in range(world)]


def reference(model: AutoModelForCausalLM, seed: int) -> list[torch.Tensor]:
    """Hugging Face's log-probabilities of each token after the first."""
    return [
        torch.log_softmax(model(row[None]).logits[0], -1)[:-1].gather(-1, row[1:, None])[:, 0]
        for row in token_rows(seed)
    ]


def joined(ranks: list[dict], name: str) -> list[torch.Tensor]:
    """What the ranks with outputs computed of the rows: each data-parallel rank of its own."""
    parts = [rank[name] for rank in ranks if rank[name]]
    rows = [torch.empty(0)] * sum(map(len, parts))
    for number, part in enumerate(parts):
        rows[number :: len(parts)] = part
    return rows


def published_gradients(model: AutoModelForCausalLM) -> dict[str, torch.Tensor]:
    """Gradients by the names of a checkpoint, in which each expert has its own; the model keeps a layer's in one."""
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            found[name] = parameter.grad
            continue
        path, _, kind = name.rpartition(".")
        for expert, gradient in enumerate(parameter.grad):
            if kind == "down_proj":
                found[f"{path}.{expert}.down_proj.weight"] = gradient
            else:
                gate, up = gradient.chunk(2)
                found |= {f"{path}.{expert}.gate_proj.weight": gate, f"{path}.{expert}.up_proj.weight": up}
    return found


def largest_difference(rows: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    with torch.no_grad():
        return max(float((row[: len(right)] - right).abs().max()) for row, right in zip(rows, expected, strict=True))


def assert_same_weights(one: dict, other: dict) -> None:
    """After the first step and after the second; a step moves a weight by up to 1e-3, the learning rate."""
    for when in ("weights", "weights_after"):
        assert one[when].keys() == other[when].keys()
        for name, tensor in one[when].items():
            assert torch.allclose(tensor, other[when][name], rtol=0, atol=STEP_TOLERANCE), (when, name)


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_a_twin_is_its_model(twin: Twin, tmp_path: Path) -> None:
    folder, checkpoint = tmp_path / "model", str(tmp_path / "checkpoint")
    write_model(twin, folder)
    ranks = run(folder, twin.engine, tmp_path / "twin", "--save", checkpoint)

    hugging_face = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    log_probs = joined(ranks, "log_probs")
    expected = reference(hugging_face, 0)
    assert largest_difference(log_probs, expected) < 1e-5

    (-torch.cat(expected)).mean().backward()
    expected_gradients = published_gradients(hugging_face)
    found = ranks[0]["gradients"]
    if found is None:  # several data-parallel ranks
        expected_gradients = {}
    else:
        assert found.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        error = (found[name] - gradient).norm() / gradient.norm()
        assert error < 1e-4, (name, float(error))

    # What goes to the rollout before the first step is what was loaded.
    loaded = load_file(folder / "model.safetensors")
    assert loaded.keys() == ranks[0]["weights_before"].keys()
    assert all(torch.equal(tensor, ranks[0]["weights_before"][name]) for name, tensor in loaded.items())

    # What is exported is the model that was trained: by what it computes.
    save_file(ranks[0]["weights"], folder / "model.safetensors", {"format": "pt"})
    exported = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        assert largest_difference(joined(ranks, "log_probs_after"), reference(exported, 1)) < 1e-5
    save_file(loaded, folder / "model.safetensors", {"format": "pt"})

    # The planner's bytes of each rank.
    for part, planned, measured in compared(folder, twin.engine, [rank["memory"] for rank in ranks]):
        assert planned == pytest.approx(measured, rel=0.1), part

    # One rank that starts as the twin did makes the same step.
    single = {"dist_ckpt_optim_fully_reshardable": True}
    [straight] = run(folder, single, tmp_path / "straight")
    assert_same_weights(straight, ranks[0])

    # From its checkpoint one rank goes on as the twin did. With experts on several ranks the same layout does: these
    # have an optimizer of their own, which one rank has not (megatron-core's ChainedOptimizer: KeyError 'optimizer').
    layout = single if twin.ep == 1 else twin.engine
    continued = run(folder, layout, tmp_path / "continued", "--load", checkpoint)
    assert_same_weights(continued[0], ranks[0])
