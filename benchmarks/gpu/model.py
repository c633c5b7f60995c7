"""A model with random weights of a known model's dimensions, fewer layers, and a tokenizer of our own: no download."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from verl_medu1.models.tiny import train_tokenizer
from verl_medu1.plan.architecture import Architecture, find_architecture, hugging_face_config


def tokenizer_of(texts: Sequence[str], rows: int) -> Any:
    """The quickstart's tokenizer, with as many tokens as an embedding has rows.

    vLLM under verl never samples a row without a token, which the trainer counts in all the same: where weights are
    random, and such rows as likely as others, the two would differ by that.

    Args:
        texts: what it is trained on.
        rows: tokens that it is to have; those beyond what the texts give stand for nothing.
    """
    tokenizer = train_tokenizer(texts)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = backend["model"]["vocab"]
    vocabulary |= {added["content"]: added["id"] for added in backend["added_tokens"]}
    vocabulary |= {f"<|row {number}|>": number for number in range(len(tokenizer), rows)}
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(backend))
    return tokenizer


def write_random_model(model: Architecture, texts: Sequence[str], out: Path, dtype: str, device: str = "cpu") -> int:
    """Write a model as a Hugging Face folder.

    Args:
        model: dimensions.
        texts: what the tokenizer is trained on.
        out: folder to write; appears when all of it is there.
        dtype: of the weights in the files, such as "bfloat16".
        device: where the weights are drawn: on a GPU, billions of them take seconds instead of minutes.

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = tokenizer_of(texts, model.vocabulary)
    config = hugging_face_config(
        model,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=dtype,
    )
    torch.manual_seed(0)
    with torch.device(device):
        made = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    for parameter in made.parameters():
        if parameter.dim() == 1:
            # Norms and biases away from 1 and 0, so that one in another's place shows.
            torch.nn.init.normal_(parameter, mean=float(parameter[0].item()), std=0.1)
    part = out.with_name(f"{out.name}.part")
    made.save_pretrained(part)
    tokenizer.save_pretrained(part)
    part.rename(out)
    return made.num_parameters()


def require_same(model: Architecture, folder: Path) -> None:
    """Leave with a sentence if a folder from an earlier start holds a model of other dimensions."""
    found = find_architecture(str(folder))
    if replace(found, name=model.name) != model:
        raise SystemExit(
            f"{folder} is {found.layers} layers of width {found.hidden} from an earlier start, and now "
            f"{model.layers} of {model.hidden} are asked for; choose another --out."
        )
