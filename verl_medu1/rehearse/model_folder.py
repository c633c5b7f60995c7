"""A folder with the files of a model that its engine reads before the weights, made from the model's dimensions."""

from pathlib import Path
from typing import Any

from verl_medu1.plan.architecture import Architecture


def write_model_folder(model: Architecture, folder: Path, **more: Any) -> None:
    """Write a config.json with the model's dimensions, and a tokenizer of three words, which encodes nothing.

    Args:
        model: dimensions.
        folder: where to write.
        more: further keys of the config.json, such as rope_parameters; other keys get the model type's defaults, which
            change no size.

    Raises:
        ValueError: Megatron-Bridge runs without a GPU for other model types only.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        model.model_type,
        vocab_size=model.vocabulary,
        hidden_size=model.hidden,
        intermediate_size=model.ffn,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        num_key_value_heads=model.groups,
        head_dim=model.head_dim,
        max_position_embeddings=model.positions,
        tie_word_embeddings=model.tied,
        dtype="bfloat16",
        **more,
    )
    config.architectures = [AutoModelForCausalLM._model_mapping[type(config)].__name__]
    config.save_pretrained(folder)
    _write_tokenizer(folder)


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<unknown>": 0, "<end>": 1, "<padding>": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<padding>")
    made.save_pretrained(folder)
