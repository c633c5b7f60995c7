"""Checks that a run's model can be shown its images; part of `checks.run.check`.

verl warns when it can't load a processor, and then trains without images: the placeholders alone are left in the text.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from verl_medu1.data.images.prepared import prepared_images
from verl_medu1.data.images.shown import length_with_images, load_processor
from verl_medu1.data.schema import IMAGES
from verl_medu1.data.storage import as_list
from verl_medu1.models.chat_template import template_arguments
from verl_medu1.rollout.names import EPISODE_LOOP

FILES = ("data.train_files", "data.val_files")
_LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"
# Rows read at a time.
AT_ONCE = 256


def files_with_images(config: DictConfig) -> list[tuple[str, str]]:
    """Return the key and name of each file of a run that has images; other checks report files that can't be read."""
    found = []
    for key in FILES:
        for name in as_list(OmegaConf.select(config, key)):
            with suppress(OSError, pa.ArrowInvalid):
                if IMAGES in pq.read_schema(Path(name).expanduser()).names:
                    found.append((key, name))
    return found


def image_violations(config: DictConfig) -> Iterator[str]:
    """Check what must hold for a training with images: engine, agent loop, processor, and the prompts' lengths."""
    found = files_with_images(config)
    if not found:
        return
    actor = config.actor_rollout_ref.actor
    if config.trainer.device == "cpu" and actor.strategy == "megatron":
        yield f"{_with_images(found)}, and without a GPU only FSDP2 takes these; set model_engine=dp."
    if config.trainer.device == "cpu" and config.actor_rollout_ref.model.use_remove_padding:
        yield (
            "actor_rollout_ref.model.use_remove_padding is true, which needs flash-attn for a model that sees images "
            "and so a GPU; set it to false."
        )
    if OmegaConf.select(config, _LOOP) == EPISODE_LOOP:
        yield f"{_LOOP} is {EPISODE_LOOP!r}, which shows no images, and {_with_images(found)}; take one of one turn."
    model = config.actor_rollout_ref.model
    processor = yield from _processor(str(model.path), "actor_rollout_ref.model.path", found)
    if processor is None or config.data.filter_overlong_prompts:
        return
    limit = min(config.data.max_prompt_length, config.actor_rollout_ref.rollout.prompt_length)
    for key, name in found:
        try:
            lengths = list(_lengths(processor, config, Path(name).expanduser()))
        except ValueError as error:
            yield f"{key} is {name!r}, {error}; prepare it with `medu1 prepare`."
            continue
        if longer := [length for length in lengths if length > limit]:
            yield (
                f"data.max_prompt_length is {limit}, and {len(longer)} of the {len(lengths)} prompts of {key} are "
                f"longer with their images (up to {max(longer)} tokens); raise it, make the images smaller, or set "
                "data.filter_overlong_prompts=true to leave them out."
            )


def demonstrated_image_violations(config: DictConfig) -> Iterator[str]:
    """Check that the model of a warm-up can be shown the images of its demonstrations."""
    found = files_with_images(config)
    if not found:
        return
    if config.trainer.device == "cpu" and config.model.use_remove_padding:
        yield (
            "model.use_remove_padding is true, which needs flash-attn for a model that sees images and so a GPU; set "
            "it to false."
        )
    yield from _processor(str(config.model.path), "model.path", found)


def _with_images(found: Sequence[tuple[str, str]]) -> str:
    key, name = found[0]
    return f"{key} is {name!r}, which has images"


def _processor(model: str, key: str, found: Sequence[tuple[str, str]]) -> Any:
    """Yield what is wrong with the columns of images or the model's processor, and return the processor."""
    for of_file, name in found:
        kind = pq.read_schema(Path(name).expanduser()).field(IMAGES).type
        item = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
        if not pa.types.is_struct(item) or "bytes" not in {field.name for field in item}:
            yield (
                f"{of_file} is {name!r}, whose column {IMAGES} is {kind} and not a list of {{bytes}}; images are read "
                "from the file alone: prepare it with `medu1 prepare`."
            )
            return None
    try:
        return load_processor(model, key)
    except ValueError as error:
        yield str(error)
        return None


def _lengths(processor: Any, config: DictConfig, path: Path) -> Iterator[int]:
    arguments, number = template_arguments(config), 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(AT_ONCE, columns=["prompt", IMAGES]):
            for row in batch.to_pylist():
                try:
                    images = prepared_images(row)
                except ValueError as error:
                    raise ValueError(f"whose row {number} can't be shown ({error})") from None
                number += 1
                yield length_with_images(processor, row["prompt"], images, arguments)
