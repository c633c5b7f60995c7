"""Whether two model folders are of one kind, so that their weights can be averaged: configuration and tokenizer."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verl_medu1.models.weights import SIZES, Weights

# Keys of config.json that describe the file, and not what the weights compute; the precision is that of the weights.
DESCRIPTIVE = frozenset(("_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"))
# Of a tokenizer: how texts of a batch are cut and filled up, which each caller sets.
OF_A_BATCH = frozenset(("version", "truncation", "padding"))


def kind_violations(first: Path, second: Path) -> Iterator[str]:
    """Yield one sentence for each way in which two folders' configurations and tokenizers differ.

    Raises:
        ValueError: one of them can't be read.
    """
    for part, read in (("config.json", _configuration), ("tokenizer", _tokenizer)):
        ours, theirs = read(first), read(second)
        for key in sorted({*ours, *theirs}):
            if ours.get(key) != theirs.get(key):
                yield (
                    f"{first} and {second} differ in {key} of their {part} ({_short(ours.get(key))} and "
                    f"{_short(theirs.get(key))}); weights of different kinds of models can't be averaged."
                )


def weight_violations(first: Weights, second: Weights) -> Iterator[str]:
    """Yield one sentence for the first tensor that one folder lacks, or that has another shape or precision there."""
    for one, other in ((first, second), (second, first)):
        if lacking := sorted(set(one.shapes) - set(other.shapes)):
            yield f"{other.folder} has no {lacking[0]}, which {one.folder} has ({len(lacking)} such tensors)."
    for name in sorted(set(first.shapes) & set(second.shapes)):
        if first.shapes[name] != second.shapes[name]:
            yield (
                f"{name} has the shape {first.shapes[name]} in {first.folder}, and {second.shapes[name]} in "
                f"{second.folder}."
            )
            return
        if first.dtypes[name] != second.dtypes[name]:
            yield (
                f"{name} is {first.dtypes[name]} in {first.folder}, and {second.dtypes[name]} in {second.folder}; "
                "store both in one precision."
            )
            return
        if first.dtypes[name] not in SIZES:
            yield (
                f"{name} of {first.folder} is {first.dtypes[name]}, which can't be averaged; merge models that are not "
                "quantised."
            )
            return


def _configuration(folder: Path) -> Mapping[str, Any]:
    from transformers import AutoConfig

    # transformers brings the keys of its versions 4 and 5 into one form.
    config = _load(AutoConfig, folder, "config.json").to_dict()
    return {key: value for key, value in config.items() if key not in DESCRIPTIVE}


def _tokenizer(folder: Path) -> Mapping[str, Any]:
    """What a tokenizer makes of a text, by part; in which of its files a part is makes no difference."""
    from transformers import AutoTokenizer

    tokenizer = _load(AutoTokenizer, folder, "tokenizer")
    parts = {
        "vocabulary": tokenizer.get_vocab(),
        "special_tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "chat_template": tokenizer.chat_template,
    }
    if tokenizer.is_fast:
        parts |= json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in parts.items() if key not in OF_A_BATCH}


def _load(loader: Any, folder: Path, what: str) -> Any:
    try:
        return loader.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"the {what} of {folder} can't be read ({reason[:200]}); copy or export it again.") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
