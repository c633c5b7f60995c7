"""Predicted beside measured: parameters of each rank, and what a layer keeps for backward (docs/plan.md); with --memory
also the bytes of each rank while small models make a step through verl's engine.

The models are real GPTModels, made by Megatron-Bridge on the layer specification of the CPU path, on torch's meta
device and with a process group that talks to nobody: any topology in one process, without memory.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import typer
from rank_memory import RankBytes, of_torch, rank_bytes

from verl_medu1.plan.activations import layer_bytes
from verl_medu1.plan.architecture import Architecture, find_architecture, hugging_face_config
from verl_medu1.plan.parameters import rank_parameters, stage_layers
from verl_medu1.plan.settings import Settings

# Model, TP, PP, VPP, layers of the first and of the last stage, expert and expert tensor parallel size.
Topology = tuple[str, int, int, int | None, int | None, int | None, int, int]
WITHOUT_EXPERTS: list[tuple[str, int, int, int | None, int | None, int | None]] = [
    ("Qwen2.5-3B-Instruct", 1, 1, None, None, None),
    ("Qwen2.5-3B-Instruct", 2, 1, None, None, None),
    ("Qwen2.5-3B-Instruct", 2, 2, None, None, None),
    ("Qwen2.5-3B-Instruct", 4, 1, None, None, None),
    ("Qwen2.5-7B-Instruct", 4, 1, None, None, None),
    ("Qwen2.5-7B-Instruct", 2, 2, 7, None, None),
    ("Qwen2.5-7B-Instruct", 1, 4, None, 6, 6),
    ("Qwen2.5-14B-Instruct", 4, 2, None, None, None),
    ("Qwen2.5-32B-Instruct", 8, 2, 4, None, None),
    ("Qwen2.5-72B-Instruct", 8, 4, None, 19, 19),
    ("Llama-3.1-8B-Instruct", 2, 2, None, None, None),
    ("Llama-3.1-8B-Instruct", 8, 1, None, None, None),
    ("Llama-3.1-70B-Instruct", 8, 4, None, None, 17),
    ("Qwen3-8B", 4, 2, None, None, None),
    ("Qwen3-32B", 8, 4, 2, None, None),
]
TOPOLOGIES: list[Topology] = [
    *((*topology, 1, topology[1]) for topology in WITHOUT_EXPERTS),
    ("Qwen3-30B-A3B", 4, 2, None, None, None, 8, 2),
    ("Qwen3-30B-A3B", 1, 4, None, None, None, 16, 1),
]
LAYERS = ("Qwen2.5-7B-Instruct", "Llama-3.1-8B-Instruct", "Qwen3-8B")
TOKENS = 256
PORTLESS = "fake"  # torch's process group for tests, of any size, in one process


def predicted(topology: Topology) -> list[int]:
    """Parameters of a rank of each stage, by the planner."""
    name, tp, pp, _, first, last, ep, etp = topology
    model = find_architecture(name)
    return [part.total for part in rank_parameters(model, tp, stage_layers(model.layers, pp, first, last), ep, etp)]


def _provider(model: Architecture, dtype: Any, tp: int = 1, pp: int = 1, **overrides: Any) -> Any:
    """Megatron-Bridge's maker of the model, told what verl tells it."""
    from megatron.bridge import AutoBridge

    config = hugging_face_config(model, attention_dropout=0.0)
    provider = AutoBridge.from_hf_config(config).to_megatron_provider(load_weights=False)
    layout = {"tensor_model_parallel_size": tp, "pipeline_model_parallel_size": pp, "pipeline_dtype": dtype}
    return provider.apply_overrides_and_finalize(dtype, layout | {"sequence_parallel": tp > 1} | overrides)


def _stage(topology: Topology, stage: int) -> int:
    """Parameters of the first tensor-parallel rank of a stage, counted in its models."""
    import torch
    from megatron.core import parallel_state
    from megatron.core.process_groups_config import ProcessGroupCollection
    from torch.testing._internal.distributed.fake_pg import FakeStore

    name, tp, pp, vpp, first, last, ep, etp = topology
    ranks = max(tp, ep * etp)
    torch.distributed.init_process_group(PORTLESS, store=FakeStore(), rank=stage * ranks, world_size=ranks * pp)
    # Groups on gloo would wait for the other ranks.
    parallel_state.initialize_model_parallel(
        tp,
        pp,
        virtual_pipeline_model_parallel_size=vpp,
        expert_model_parallel_size=ep,
        expert_tensor_parallel_size=etp,
        create_gloo_process_groups=False,
    )
    try:
        provider = _provider(
            find_architecture(name),
            torch.bfloat16,
            tp,
            pp,
            virtual_pipeline_model_parallel_size=vpp,
            num_layers_in_first_pipeline_stage=first,
            num_layers_in_last_pipeline_stage=last,
            expert_model_parallel_size=ep,
            expert_tensor_parallel_size=etp,
        )
        provider._pg_collection = ProcessGroupCollection.use_mpu_process_groups()
        chunks = range(vpp) if vpp else [None]
        with torch.device("meta"):
            models = [provider.provide(*_ends(stage, pp, chunk, vpp), vp_stage=chunk) for chunk in chunks]
        return sum(parameter.numel() for made in models for parameter in made.parameters())
    finally:
        parallel_state.destroy_model_parallel()
        torch.distributed.destroy_process_group()


def _ends(stage: int, pp: int, chunk: int | None, vpp: int | None) -> tuple[bool, bool]:
    """Whether a chunk has the embedding, and the output layer."""
    return stage == 0 and chunk in (None, 0), stage == pp - 1 and chunk in (None, (vpp or 1) - 1)


def measured(topology: Topology) -> list[int]:
    """Parameters of the first rank of each stage, of megatron-core's models; middle stages that are alike once."""
    pp = topology[2]
    kinds = sorted({0, min(1, pp - 1), pp - 1})
    counts = {stage: _stage(topology, stage) for stage in kinds}
    return [counts.get(stage, counts[min(1, pp - 1)]) for stage in range(pp)]


def kept_bytes(name: str, is_fused: bool) -> tuple[float, float]:
    """Bytes that a layer keeps of a token for backward: by the planner, and of megatron-core's layers in float32.

    The planner's figure has what torch's RMSNorm adds: its normalised input, and a number for each token (and head).
    GPUs run a kernel that does without the former. Layers are those of the model, narrower; two less one is one.
    """
    import torch
    from megatron.core import parallel_state
    from megatron.core.process_groups_config import ProcessGroupCollection
    from megatron.core.tensor_parallel import model_parallel_cuda_manual_seed
    from torch.testing._internal.distributed.fake_pg import FakeStore

    narrow = {"hidden": 512, "heads": 8, "groups": 2, "head_dim": 64, "ffn": 1408, "vocabulary": 1024}
    model = replace(find_architecture(name), **narrow)
    torch.distributed.init_process_group(PORTLESS, store=FakeStore(), rank=0, world_size=1)
    parallel_state.initialize_model_parallel(create_gloo_process_groups=False)
    model_parallel_cuda_manual_seed(1)
    try:
        sizes = []
        for layers in (1, 2):
            narrower = replace(model, layers=layers)
            provider = _provider(narrower, torch.float32, bias_activation_fusion=is_fused)
            provider._pg_collection = ProcessGroupCollection.use_mpu_process_groups()
            made = provider.provide(True, True)
            weights = {parameter.untyped_storage().data_ptr() for parameter in made.parameters()}
            kept: dict[int, Any] = {}

            def keep(tensor: Any, kept: dict[int, Any] = kept) -> Any:
                kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                made(torch.zeros(1, TOKENS, dtype=torch.long), torch.arange(TOKENS)[None], None)
            sizes.append(sum(tensor.untyped_storage().nbytes() for at, tensor in kept.items() if at not in weights))
        settings = Settings(dtype="float32", activation_fusion=is_fused)
        return layer_bytes(model, settings) + of_torch(model), (sizes[1] - sizes[0]) / TOKENS
    finally:
        parallel_state.destroy_model_parallel()
        torch.distributed.destroy_process_group()


def _recipe_topologies() -> Iterator[Topology]:
    """Those of the recipes that name a listed model; a path such as the quickstart's is never looked up on the disk."""
    from verl_medu1.config.compose import compose_recipe
    from verl_medu1.config.recipes import recipe_names
    from verl_medu1.plan.architecture import listed_models

    for name in recipe_names():
        settings, path = compose_recipe([f"recipe={name}"])
        if path in listed_models() and settings.strategy == "megatron":
            short = path.rpartition("/")[2]
            layout = (settings.tp, settings.pp, settings.vpp, settings.first_layers, settings.last_layers)
            yield short, *layout, settings.ep, settings.expert_tp


def print_ranks(rows: list[RankBytes]) -> None:
    """A row for each rank, those with the figures of another once: predicted / measured."""
    ranks: dict[tuple[str, int], dict[str, str]] = {}
    for layout, rank, part, planned, found in rows:
        ranks.setdefault((layout, rank), {})[part] = f"{planned:,.0f} / {found:,} ({planned / found - 1:+.1%})"
    parts = list(dict.fromkeys(part for _, _, part, _, _ in rows))
    typer.echo(f"\n| layout | rank | {' | '.join(parts)} |\n|---|---|{'---|' * len(parts)}")
    shown = set()
    for (layout, rank), cells in ranks.items():
        line = " | ".join(cells[part] for part in parts)
        if (layout, line) not in shown:
            typer.echo(f"| {layout} | {rank} | {line} |")
        shown.add((layout, line))


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a Markdown table.")] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="Also measure ranks during a step, which takes minutes.")
    ] = False,
) -> None:
    """Count parameters, and bytes kept for backward, both ways."""
    from verl_medu1.cpu.megatron import bridge, cuda, layers

    bridge.install()
    cuda.install()
    layers.install()
    topologies = list(dict.fromkeys([*TOPOLOGIES, *_recipe_topologies()]))
    with cuda.cuda_is_cpu():
        rows = [(topology, predicted(topology), measured(topology)) for topology in topologies]
        kept = [(name, fused, *kept_bytes(name, fused)) for name in LAYERS for fused in (False, True)]
    of_ranks = list(rank_bytes()) if memory else []
    if as_json:
        typer.echo(json.dumps({"parameters": rows, "kept": kept, "memory": of_ranks}))
        return
    typer.echo(
        "| model | TP | PP | VPP | first, last | stage | predicted | megatron-core |\n|---|---|---|---|---|---|---|---|"
    )
    for (name, tp, pp, vpp, first, last, ep, etp), ours, theirs in rows:
        shown_name = name if find_architecture(name).experts is None else f"{name}, EP {ep}, ETP {etp}"
        for stage in sorted({0, min(1, pp - 1), pp - 1}):
            ends = f"{first or '-'}, {last or '-'}" if first or last else "-"
            shown = f"| {shown_name} | {tp} | {pp} | {vpp or '-'} | {ends} | {stage} "
            typer.echo(f"{shown}| {ours[stage]:,} | {theirs[stage]:,} |")
    typer.echo(
        "\n| layer of, narrower | SwiGLU fused | bytes kept of a token, predicted | megatron-core |\n|---|---|---|---|"
    )
    for name, fused, ours, theirs in kept:
        typer.echo(f"| {name} | {'yes' if fused else 'no'} | {ours:,.0f} | {theirs:,.0f} |")
    if of_ranks:
        print_ranks(of_ranks)


if __name__ == "__main__":
    typer.run(main)
