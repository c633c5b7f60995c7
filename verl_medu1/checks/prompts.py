"""Checks prompts and demonstrations, rendered with the run's own chat template; part of `checks.run.check`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from reward_score.response import format_response
from verl_medu1.config.scorers import uses_our_scorers
from verl_medu1.models.chat_template import demonstration_fault, prompt_fault, render_text, template_arguments

# The shortest well-formed response.
SHORTEST = format_response("a", "B")
# Prompts tokenised at a time.
AT_ONCE = 1024


def load_tokenizer(model: DictConfig, key: str) -> Any:
    """Load the tokenizer with which verl renders prompts.

    Args:
        model: node `model` of a configuration.
        key: the configuration key of its path, for the error.

    Raises:
        ValueError: it can't be loaded.
    """
    from transformers import AutoTokenizer

    name = str(Path(str(model.get("tokenizer_path") or model.path)).expanduser())
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=bool(model.get("trust_remote_code")))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{key} is {name!r}, whose tokenizer can't be loaded ({reason}); give a folder that holds it."
        ) from None
    if model.get("custom_chat_template"):
        tokenizer.chat_template = model.custom_chat_template
    return tokenizer


def prompt_violations(config: DictConfig) -> Iterator[str]:
    """Check that a correct response to the run's prompts can be scored, and that no prompt is too long."""
    model = config.actor_rollout_ref.model
    key = "actor_rollout_ref.model.path"
    files = {name: _files(config, name) for name in ("data.train_files", "data.val_files")}
    if not _is_there(model) or not any(files.values()):
        return  # another check reports it
    try:
        tokenizer = load_tokenizer(model, key)
    except ValueError as error:
        yield str(error)
        return
    arguments = template_arguments(config)
    is_ours = uses_our_scorers(config)
    first = next(_rows(next(name for names in files.values() for name in names), "prompt"))
    if fault := prompt_fault(tokenizer, arguments, first, config.scoring.scheme if is_ours else None):
        yield f"{key} is {str(model.path)!r}: {fault}"
        return
    shortest = len(tokenizer.encode(SHORTEST, add_special_tokens=False))
    if is_ours and config.data.max_response_length < shortest:
        yield (
            f"data.max_response_length is {config.data.max_response_length}, and the shortest answer of the right form "
            f"has {shortest} tokens; raise it."
        )
    if config.data.filter_overlong_prompts:
        return  # verl drops long prompts itself, and says how many rows are left
    limit = min(config.data.max_prompt_length, config.actor_rollout_ref.rollout.prompt_length)
    for name, paths in files.items():
        lengths = [length for path in paths for length in too_long(tokenizer, arguments, path, limit)]
        if lengths:
            rows = sum(pq.ParquetFile(path).metadata.num_rows for path in paths)
            yield (
                f"data.max_prompt_length is {limit}, and {len(lengths)} of the {rows} prompts of {name} are longer "
                f"(up to {max(lengths)} tokens); raise it, prepare the data with --max-prompt-tokens {limit}, or set "
                "data.filter_overlong_prompts=true to leave them out."
            )


def demonstration_violations(config: DictConfig) -> Iterator[str]:
    """Check that the chat template keeps everything the warm-up needs of its demonstrations."""
    if not _is_there(config.model):
        return
    for name in _files(config, "data.train_files"):
        if config.data.messages_key not in pq.read_schema(name).names:
            continue
        try:
            tokenizer = load_tokenizer(config.model, "model.path")
        except ValueError as error:
            yield str(error)
            return
        for messages in islice(_rows(name, config.data.messages_key), 1):
            if fault := demonstration_fault(tokenizer, template_arguments(config), messages):
                yield f"model.path is {str(config.model.path)!r}: {fault}"
                return


def too_long(tokenizer: Any, arguments: Mapping[str, Any], path: Path, limit: int) -> Iterator[int]:
    """Yield the number of tokens of each prompt in a file that has more than `limit`.

    Each token covers at least one byte of text, so only prompts of at least `limit` bytes are tokenised.

    Args:
        tokenizer: of `transformers`.
        arguments: of the chat template.
        path: prepared parquet file.
        limit: the most tokens a prompt may have.
    """
    suspects = (text for text in _rendered(tokenizer, arguments, path) if len(text.encode()) >= limit)
    while texts := list(islice(suspects, AT_ONCE)):
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        yield from (len(tokens) for tokens in encoded if len(tokens) > limit)


def _rendered(tokenizer: Any, arguments: Mapping[str, Any], path: Path) -> Iterator[str]:
    return (render_text(tokenizer, messages, arguments) for messages in _rows(path, "prompt"))


def _rows(path: Path, column: str) -> Iterator[Sequence[Mapping[str, str]]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(AT_ONCE, columns=[column]):
            yield from batch[column].to_pylist()


def _files(config: DictConfig, key: str) -> list[Path]:
    """Return the files of a key that can be read and have rows; other checks report the rest."""
    value = OmegaConf.select(config, key) or []
    column = "prompt" if "actor_rollout_ref" in config else config.data.messages_key
    found = []
    for name in [value] if isinstance(value, str) else value:
        with suppress(OSError, ValueError), pq.ParquetFile(Path(name).expanduser()) as file:
            if file.metadata.num_rows and column in file.schema_arrow.names:
                found.append(Path(name).expanduser())
    return found


def _is_there(model: DictConfig) -> bool:
    name = str(model.path)
    is_local = name.startswith((".", "/", "~")) or name.count("/") != 1 or Path(name).exists()
    return not is_local or (Path(name).expanduser() / "config.json").is_file()
