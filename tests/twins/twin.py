"""The twin of a recipe: its architecture and topology at dimensions that two cores bear.

The rule by which a recipe becomes its twin:

- family, tied or untied embeddings, biases, norms of query and key, rotary scaling and the ratio of attention heads to
  key-value heads stay as they are;
- tensor and pipeline parallel sizes above 2 become 2, virtual stages above 2 become 2; sequence parallel and a first or
  last stage of another size stay;
- context parallel becomes 1: its attention is Transformer Engine's, which needs a GPU;
- a model with experts has EXPERTS of them, of which a token takes EXPERTS_PER_TOKEN; expert and
  expert tensor parallel sizes above 2 become 2;
- a layer for each virtual stage, two where a stage is uneven; widths are small.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.cpu.small_engine import VOCABULARY
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.settings import Settings

HEAD_DIM, KV_HEADS, MOST_RANKS = 16, 2, 2
EXPERTS, EXPERTS_PER_TOKEN = 8, 2


@dataclass(frozen=True)
class Twin:
    """What is left of a recipe's model and layout.

    Attributes:
        family: Hugging Face's model_type.
        tied: input and output embeddings are one.
        heads_per_kv_head: attention heads that share a key-value head.
        rope_scaled: Llama 3's rotary scaling.
        tp, pp: tensor and pipeline parallel sizes, at most 2.
        vpp: virtual stages of a rank, 1 without interleaving.
        uneven: the first pipeline stage has a layer less than the others.
        experts: experts of a layer, 0 without.
        ep, etp: expert and expert tensor parallel sizes, at most 2.
    """

    family: str
    tied: bool
    heads_per_kv_head: int
    rope_scaled: bool
    tp: int
    pp: int
    vpp: int = 1
    uneven: bool = False
    experts: int = 0
    ep: int = 1
    etp: int = 1

    @property
    def name(self) -> str:
        """Says what it is, such as qwen2-tied-8-tp2-pp1."""
        parts = [self.family, "tied" if self.tied else "untied", str(self.heads_per_kv_head)]
        parts += [f"tp{self.tp}", f"pp{self.pp}", *([f"ep{self.ep}", f"etp{self.etp}"] if self.experts else [])]
        return "-".join([*parts, *(["vpp2"] if self.vpp > 1 else []), *(["uneven"] if self.uneven else [])])

    @property
    def layers(self) -> int:
        """Layers of the small model."""
        return self.pp * self.vpp * (2 if self.uneven else 1) - self.uneven

    @property
    def engine(self) -> dict[str, Any]:
        """Keys of verl's McoreEngineConfig."""
        keys: dict[str, Any] = {
            "tensor_model_parallel_size": self.tp,
            "pipeline_model_parallel_size": self.pp,
            "dist_ckpt_optim_fully_reshardable": True,
        }
        if self.vpp > 1:
            keys["virtual_pipeline_model_parallel_size"] = self.vpp
        if self.experts:
            keys |= {"expert_model_parallel_size": self.ep, "expert_tensor_parallel_size": self.etp}
        if self.uneven:
            keys["override_transformer_config"] = {"num_layers_in_first_pipeline_stage": 1}
        return keys


def ranks_of(engine: dict[str, Any]) -> int:
    """The fewest ranks that an engine's keys take."""
    pp = engine.get("pipeline_model_parallel_size", 1)
    experts = engine.get("expert_model_parallel_size", 1) * engine.get("expert_tensor_parallel_size", 1)
    return pp * max(engine.get("tensor_model_parallel_size", 1), experts)


def twin_of(model: Architecture, settings: Settings) -> Twin:
    """The twin of a recipe, by the rule above."""
    return Twin(
        family=model.model_type,
        tied=model.tied,
        heads_per_kv_head=model.heads // model.groups,
        # The Llamas of the recipes are 3.1's.
        rope_scaled=model.model_type == "llama",
        tp=min(settings.tp, MOST_RANKS),
        pp=min(settings.pp, MOST_RANKS),
        vpp=min(settings.vpp or 1, 2),
        uneven=settings.first_layers is not None or settings.last_layers is not None,
        experts=EXPERTS if model.experts else 0,
        ep=min(settings.ep, MOST_RANKS),
        etp=min(settings.expert_tp, MOST_RANKS) if model.experts else 1,
    )


def write_model(twin: Twin, folder: Path) -> None:
    """A random model of the twin's architecture, with norms and biases away from their defaults."""
    torch.manual_seed(0)
    heads = KV_HEADS * twin.heads_per_kv_head
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}
    if twin.rope_scaled:
        # Llama 3.1's own numbers.
        rope = {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    experts: dict[str, Any] = {}
    if twin.experts:
        experts = {
            "num_experts": twin.experts,
            "num_experts_per_tok": EXPERTS_PER_TOKEN,
            "moe_intermediate_size": 16 * heads,
            "norm_topk_prob": True,
        }
    config = AutoConfig.for_model(
        twin.family,
        **experts,
        vocab_size=VOCABULARY,
        hidden_size=HEAD_DIM * heads,
        intermediate_size=32 * heads,
        num_hidden_layers=twin.layers,
        num_attention_heads=heads,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=64,
        tie_word_embeddings=twin.tied,
        rope_parameters=rope,
        dtype="float32",
    )
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        # Away from their defaults, so that a swapped tensor shows.
        torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.1)
    model.save_pretrained(folder)
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    """A tokenizer that verl can load; no text passes through it."""
    from tokenizers import Tokenizer, models

    vocabulary = {chr(200 + token): token for token in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=chr(200)))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=chr(201), pad_token=chr(202)).save_pretrained(folder)
