"""Parameters of each rank, as megatron-core 0.18.2 builds them under verl 0.9.1.

verl leaves `should_pad_vocab` of Megatron-Bridge's provider at false (verl/workers/engine/megatron/transformer_impl.py,
`_build_tf_config`), so the vocabulary is not padded: it must be divisible by TP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.expert_layers import expert_weights, inactive_weights, router_weights
from verl_medu1.plan.vision import tower_parameters


@dataclass(frozen=True)
class Parts:
    """Parameters of one rank, by kind.

    Attributes:
        linear: weights of the layers' four matrices, to which FP8 applies; without the experts'.
        small: norms, biases and routers.
        embedding: the word embedding.
        output: the output layer.
        experts: weights of the experts' matrices, which have data parallel groups of their own.
        adapters: LoRA's; if there are any, all others are frozen.
        vision: those of the part that sees, its mergers among them.
    """

    linear: int
    small: int
    embedding: int
    output: int
    experts: int = 0
    adapters: int = 0
    vision: int = 0

    @property
    def shared(self) -> int:
        """The number of the rank's parameters that all tokens pass through, without adapters."""
        return self.linear + self.small + self.embedding + self.output

    @property
    def total(self) -> int:
        """The number of all parameters of the rank."""
        return self.shared + self.experts + self.adapters + self.vision

    @property
    def trained(self) -> int:
        """The number of parameters that have gradients and optimizer states.

        Example:
            >>> Parts(1000, 10, 100, 100).trained, Parts(1000, 10, 100, 100, adapters=8).trained
            (1210, 8)
        """
        return self.adapters or self.total


def layer_linear(model: Architecture, tp: int = 1) -> int:
    """Return the number of weights in the matrices of one layer on one rank, without experts.

    h (q + 2 g) d + q d h + 3 h f, each split by TP; q heads, g groups of width d, f the SwiGLU width, 0 if every layer
    has experts.
    Source: megatron/core/transformer/attention.py (linear_qkv, linear_proj) and mlp.py (linear_fc1 holds gate and up).
    With fewer groups than TP the matrix is still split, and its outputs are gathered.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> layer_linear(find_architecture("Qwen2.5-7B-Instruct"))
        233046016
    """
    queries, pair = model.heads * model.head_dim, 2 * model.groups * model.head_dim
    return (model.hidden * (queries + pair) + queries * model.hidden + 3 * model.hidden * model.ffn) // tp


def layer_small(model: Architecture, tp: int = 1) -> int:
    """Return the size of norms and biases of one layer on one rank.

    The norms are replicated: 2 h, and 2 d with query-key norms. A bias is split like its matrix.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> layer_small(find_architecture("Qwen3-8B"), tp=4)
        8448
    """
    bias = (model.heads + 2 * model.groups) * model.head_dim // tp if model.qkv_bias else 0
    return 2 * model.hidden + (2 * model.head_dim if model.qk_norm else 0) + bias


def stage_layers(layers: int, pp: int, first: int | None = None, last: int | None = None) -> list[int]:
    """Return the layers of each pipeline stage, regardless of virtual stages.

    Source: megatron/core/transformer/transformer_block.py, get_num_layers_to_build: the first and the last stage have
    as many as their keys say, and the others share the rest evenly.

    Raises:
        ValueError: the layers can't be divided like that.

    Example:
        >>> stage_layers(28, 4, first=6, last=6)
        [6, 8, 8, 6]
    """
    ends = [count for count in (first, last) if count is not None]
    middle, rest = pp - len(ends), layers - sum(ends)
    if middle < 0 or rest < 0 or (middle == 0 and rest) or (middle and (rest % middle or rest == 0)):
        raise ValueError(f"{layers} layers don't divide into {pp} stages with first {first} and last {last}")
    stages = [rest // middle if middle else 0] * pp
    if first is not None:
        stages[0] = first
    if last is not None:
        stages[-1] = last
    return stages


def rank_parameters(
    model: Architecture, tp: int, stages: Sequence[int], ep: int = 1, etp: int = 1, adapters: int = 0
) -> list[Parts]:
    """Return the parameters of the ranks of each pipeline stage; all ranks of a stage have as many.

    The embedding is on the first stage, the final norm and the output layer on the last. A tied output layer is the
    embedding itself if both are on one stage, otherwise a copy of it (GPTModel, setup_embeddings_and_output_layer).

    Args:
        model: dimensions.
        tp: tensor parallel size.
        stages: layers of each stage.
        ep: expert parallel size.
        etp: expert tensor parallel size.
        adapters: parameters of LoRA in one layer of a rank (`adapters.layer_adapters`).

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> tied = find_architecture("Qwen2.5-3B-Instruct")
        >>> [part.total for part in rank_parameters(tied, 2, [18, 18])]
        [849312256, 849314304]
    """
    table = model.vocabulary * model.hidden // tp
    ranks = []
    for stage, layers in enumerate(stages):
        is_first, is_last = stage == 0, stage == len(stages) - 1
        has_output = is_last and not (model.tied and is_first)
        # Only of a whole model are there fewer layers with experts than layers: others can't be planned.
        sparse = min(layers, model.experts.layers) if model.experts else 0
        ranks.append(
            Parts(
                linear=layers * layer_linear(model, tp) - sparse * 3 * model.hidden * model.ffn // tp,
                small=layers * layer_small(model, tp)
                + router_weights(model, sparse)
                + (model.hidden if is_last else 0),
                embedding=table if is_first else 0,
                output=table if has_output else 0,
                experts=expert_weights(model, sparse, ep, etp),
                adapters=layers * adapters,
            )
        )
    return ranks


def total_parameters(model: Architecture) -> int:
    """Return the number of parameters of the whole model, with tied embeddings counted once, and with its tower.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> f"{total_parameters(find_architecture('Qwen2.5-7B-Instruct')):,}"
        '7,615,616,512'
    """
    return rank_parameters(model, 1, [model.layers])[0].total + tower_parameters(model.vision)


def active_parameters(model: Architecture) -> int:
    """Return the number of parameters that a token passes through, with the embedding: all without experts.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> f"{active_parameters(find_architecture('Qwen3-30B-A3B')):,}"
        '3,353,032,704'
    """
    return total_parameters(model) - inactive_weights(model)


def largest_tensor(model: Architecture) -> int:
    """Return the elements of the largest tensor sent to the rollout: the embedding, or a layer's gate and up together.

    Experts are sent one by one, and a gate and up of one are smaller than the embedding.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> largest_tensor(find_architecture("Qwen2.5-72B-Instruct"))
        1245708288
    """
    return model.hidden * max(model.vocabulary, 2 * model.ffn)
