"""Memory and communication of a rank under FSDP2, as verl 0.9.1 sets it up.

Each layer, the embedding and the output layer are units of torch's `fully_shard` (verl/utils/fsdp_utils.py,
apply_fsdp2). A unit is gathered while it computes; what a rank keeps is its share. Weights stay in `model_dtype`, which
is float32 unless set otherwise and is what Adam works on: there is no other copy. They are gathered in `param_dtype`
(verl/workers/engine/fsdp/transformer_impl.py).
"""

from collections.abc import Iterable, Iterator

from verl_medu1.plan.adapters import layer_adapters, peft_matrices, targets, trained_parameters
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.communication import Communication, forward_passes, rank_tokens
from verl_medu1.plan.fsdp_activations import kept_bytes, layer_bytes, logit_bytes
from verl_medu1.plan.fsdp_tower import adapter_shapes, tower_of, tower_share
from verl_medu1.plan.memory import BYTES, RankMemory, gather_bytes
from verl_medu1.plan.parameters import Parts, layer_linear, layer_small, total_parameters
from verl_medu1.plan.rollout import Rollout
from verl_medu1.plan.settings import Settings

Shapes = Iterable[tuple[int, int]]


def share(shapes: Shapes, ranks: int) -> int:
    """Return the elements of these tensors that the first rank holds: it has as many rows as any other.

    FSDP2 splits each tensor by its rows into chunks of ceil(rows / ranks) (torch's Shard(0)).

    Example:
        >>> share([(16, 100), (10, 1)], 4), share([(16, 100)], 64)
        (403, 100)
    """
    return sum(-(-rows // ranks) * columns for rows, columns in shapes)


def _small_shapes(model: Architecture) -> Iterator[tuple[int, int]]:
    yield from [(model.hidden, 1)] * 2
    if model.qk_norm:
        yield from [(model.head_dim, 1)] * 2
    if model.qkv_bias:
        yield from [(model.heads * model.head_dim, 1), *[(model.groups * model.head_dim, 1)] * 2]


def _adapter_shapes(model: Architecture, settings: Settings) -> Iterator[tuple[int, int]]:
    known, rank = peft_matrices(model), settings.adapter_rank
    for name in targets(model, settings):
        inputs, outputs = known[name]
        yield from ((rank, inputs), (outputs, rank))


def rank_parts(model: Architecture, settings: Settings) -> Parts:
    """Return the parameters that the first rank holds: its share of each tensor.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> model = find_architecture("Qwen2.5-7B-Instruct")
        >>> rank_parts(model, Settings(strategy="fsdp2")).total * 8 == total_parameters(model)
        True
    """
    ranks = settings.shards
    table = share([(model.vocabulary, model.hidden)], ranks)
    linear = share(((outputs, inputs) for inputs, outputs in peft_matrices(model).values()), ranks)
    return Parts(
        linear=model.layers * linear,
        small=model.layers * share(_small_shapes(model), ranks) + share([(model.hidden, 1)], ranks),
        embedding=table,
        output=0 if model.tied else table,
        adapters=model.layers * share(_adapter_shapes(model, settings), ranks)
        + share(adapter_shapes(model, settings), ranks),
        vision=tower_share(model, ranks),
    )


def weight_bytes(parts: Parts, settings: Settings) -> float:
    """Return the bytes of a rank's weights: adapters are cast to the frozen weights' dtype (_build_lora_module).

    Example:
        >>> weight_bytes(Parts(100, 0, 0, 0), Settings(model_dtype="bf16"))
        200.0
    """
    return float(BYTES[settings.model_dtype] * parts.total)


def gradient_bytes(model: Architecture, parts: Parts, settings: Settings) -> float:
    """Return the bytes of a rank's gradients at the end of a backward pass.

    They are reduced in `reduce_dtype` and kept in the weights' dtype. With use_no_sync_for_gradient_accumulation whole
    gradients stay in `reduce_dtype` until the last micro-batch.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> gradient_bytes(find_architecture("Qwen3-8B"), Parts(100, 0, 0, 0), Settings(strategy="fsdp2"))
        400.0
    """
    if settings.no_sync:
        return float(BYTES[settings.reduce_dtype] * trained_parameters(model, settings))
    return float(BYTES[settings.model_dtype] * parts.trained)


def optimizer_bytes(parts: Parts, settings: Settings) -> float:
    """Return the bytes of AdamW on a rank: two moments in the weights' dtype, for the parameters that are trained.

    Example:
        >>> optimizer_bytes(Parts(100, 0, 0, 0, adapters=10), Settings(strategy="fsdp2"))
        80.0
    """
    return float(2 * BYTES[settings.model_dtype] * parts.trained)


def _units(model: Architecture, settings: Settings) -> tuple[float, float, float, float]:
    """Bytes of a gathered layer and table, and of their whole gradients with the copy in which they are reduced."""
    width, reduced = BYTES[settings.gathered_dtype], BYTES[settings.reduce_dtype]
    table, adapters = model.vocabulary * model.hidden, layer_adapters(model, settings)
    layer = layer_linear(model) + layer_small(model) + adapters
    trained = (adapters, 0) if settings.adapter_rank else (layer, table)
    gradients = [float(size * (width + reduced)) for size in trained]
    return layer * width, table * width, gradients[0], gradients[1]


def training_peaks(model: Architecture, settings: Settings, parts: Parts) -> dict[str, dict[str, float]]:
    """Return what a rank holds besides weights, gradients and optimizer at the times that can be the peak.

    | time | activations | gathered | logits |
    |---|---|---|---|
    | the logits' backward pass | of all layers | output layer and its gradient, the layer before it | yes |
    | a layer's backward pass | of all layers, and one recomputed | two layers, the gradient of one, twice | no |
    | the embedding's gradient | of the tower | embedding, its gradient, twice | no |
    | a tower block's backward pass | of the tower, one recomputed | two blocks, the gradient of one, twice | no |
    | Adam's step | none | a temporary copy of the weights that are trained | no |

    A gradient is there twice where it is reduced: as it was computed, and as float32. Tied embeddings stay gathered
    from the forward pass on, with their gradient. The root of a tower stays gathered to the end, when its gradient is
    reduced. Derived from torch/optim/adamw.py (foreach) and
    torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py.
    """
    layer, table, layer_gradient, table_gradient = _units(model, settings)
    kept, tokens = kept_bytes(model, settings), settings.micro_batch_tokens
    width = BYTES[settings.gathered_dtype]
    whole_gradient = 0 if settings.adapter_rank else table
    stays = table + whole_gradient if model.tied else 0.0
    again = tokens * layer_bytes(model, settings) if settings.gradient_checkpointing else 0.0
    passing = tokens * width * (2 * model.hidden + 2 * model.ffn)
    tower = tower_of(model, settings)
    return {
        "logits": {
            "activations": kept + tower.kept,
            "gathering": table + whole_gradient + layer + tower.root,
            "logits": tokens * logit_bytes(model, settings, True),
        },
        "layer": {
            "activations": kept + again + passing + tower.kept,
            "gathering": 2 * layer + layer_gradient + stays + tower.root,
            "logits": 0.0,
        },
        "embedding": {
            "activations": tower.kept,
            "gathering": table + table_gradient + tower.root + (tower.root_gradient if model.tied else 0.0),
            "logits": 0.0,
        },
        "tower": {
            "activations": tower.kept + tower.again,
            "gathering": 2 * tower.block + tower.block_gradient + tower.root + tower.root_gradient + stays,
            "logits": 0.0,
        },
        "step": {"activations": 0.0, "gathering": BYTES[settings.model_dtype] * parts.trained, "logits": 0.0},
    }


def ranks_of(model: Architecture, settings: Settings, rollout: Rollout) -> list[RankMemory]:
    """Return the memory of the first rank, phase by phase; no other needs more.

    `param_offload` and `optimizer_offload` move a rank's share off the GPU in all phases but those that need it;
    `offload_policy` keeps it on the CPU even in training. Gradients are gone after an update. Without LoRA the weight
    sync stages one tensor after another, and with LoRA all of a rank's share (get_per_tensor_param).
    """
    parts = rank_parts(model, settings)
    on_cpu = settings.offload_policy
    weights = 0.0 if on_cpu else weight_bytes(parts, settings)
    gradients = 0.0 if on_cpu else gradient_bytes(model, parts, settings)
    optimizer = 0.0 if on_cpu else optimizer_bytes(parts, settings)
    resting = 0.0 if settings.fsdp_param_offload else weights
    states = {"optimizer": 0.0 if settings.fsdp_optimizer_offload else optimizer}
    asleep = 0.0 if settings.free_cache else rollout.total
    always = {"reserve": float(assumptions().reserve)}
    peak = max(training_peaks(model, settings, parts).values(), key=lambda found: sum(found.values()))
    tokens = settings.micro_batch_tokens
    layer, table, _, _ = _units(model, settings)
    tower = tower_of(model, settings)
    phases: dict[str, dict[str, float]] = {
        "training": {"weights": weights, "gradients": gradients, "optimizer": optimizer, **peak, "vLLM": asleep},
        "log-probabilities": {
            "weights": weights,
            **states,
            "activations": tower.given + max(tokens * layer_bytes(model, settings), tower.passing),
            "gathering": table + 2 * max(layer, tower.block) + tower.root,
            "logits": tokens * logit_bytes(model, settings, False),
            "vLLM": asleep,
        },
        "weight sync": {
            "weights": weights if settings.adapter_rank else resting,
            **states,
            "gathering": gather_bytes(model, settings),
            "vLLM": rollout.weights if settings.free_cache else rollout.total,
        },
        "generation": {"weights": resting, **states, "vLLM": rollout.total},
    }
    return [RankMemory(0, model.layers, parts, {phase: {**found, **always} for phase, found in phases.items()})]


def communication_of(model: Architecture, settings: Settings) -> Communication:
    """Return what a rank sends and receives in a step.

    With m micro-batches of a step on a rank, P parameters, P' of them trained, s shards, b and a bytes of a gathered
    and of a reduced element, u the Ulysses size, T the tokens of a rank:

    | for | bytes | source |
    |---|---|---|
    | data | (m P b for each pass, forward and, unless kept, backward; m P' a) (s - 1) / s | arXiv 2304.11277 |
    | context | T layers (2 q + 2 g) d b (u - 1) / u for each pass | arXiv 2309.14509 |

    With fsdp_size below the workers, gradients are also all-reduced between the groups: 2 P' a / s.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> communication_of(find_architecture("Qwen3-8B"), Settings(strategy="fsdp2", gpus_per_node=1)).data
        0.0
    """
    width, reduced, shards = BYTES[settings.gathered_dtype], BYTES[settings.reduce_dtype], settings.shards
    tokens, extra, again = rank_tokens(settings), forward_passes(settings), settings.gradient_checkpointing
    micro_batches = max(1.0, tokens / settings.micro_batch_tokens)
    other = (shards - 1) / shards
    updates = max(1, settings.train_batch // settings.mini_batch)
    adapters = model.layers * layer_adapters(model, settings)
    trained = trained_parameters(model, settings)
    reductions = updates if settings.no_sync else micro_batches
    gathers = micro_batches * (1 + extra + settings.reshard_after_forward)
    replicas = settings.gpus // shards
    heads, ulysses = (2 * model.heads + 2 * model.groups) * model.head_dim, settings.ulysses
    return Communication(
        tensor=0.0,
        pipeline=0.0,
        context=tokens * model.layers * heads * width * (ulysses - 1) / ulysses * (2 + extra + again),
        data=gathers * (total_parameters(model) + adapters) * width * other
        + reductions * trained * reduced * (other + (2 / shards if replicas > 1 else 0)),
        weight_sync=float(BYTES[settings.model_dtype] * total_parameters(model)),
    )
