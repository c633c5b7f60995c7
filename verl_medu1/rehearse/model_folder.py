"""A folder with the files of a model that its engine reads before the weights, made from the model's dimensions."""

from pathlib import Path
from typing import Any

from verl_medu1.plan.architecture import Architecture, hugging_face_config


def write_model_folder(model: Architecture, folder: Path, **more: Any) -> None:
    """Write a config.json with the model's dimensions, and a tokenizer of three words, which encodes nothing.

    Args:
        model: dimensions.
        folder: where to write.
        more: further keys of the config.json, such as rope_parameters.
    """
    hugging_face_config(model, dtype="bfloat16", **more).save_pretrained(folder)
    _write_tokenizer(folder)


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<unknown>": 0, "<end>": 1, "<padding>": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<padding>")
    made.save_pretrained(folder)
