"""Checks `data.mixture` and the training rows it needs; part of `checks.run.check`."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from verl_medu1.checks.rewards import OUR_TRAINER_MODES
from verl_medu1.data.families import FAMILIES, LEVEL, read_families

NAMES = f"{', '.join(FAMILIES[:-1])} or {FAMILIES[-1]}"


def mixture_violations(config: DictConfig, train_files: Sequence[str]) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `data.mixture`.

    Args:
        config: of the run.
        train_files: parquet files with the columns that training needs.
    """
    mixture = config.data.mixture
    if mixture.by is None:
        for key in ("weights", "stages"):
            if mixture[key]:
                yield f"data.mixture.{key} is set and data.mixture.by is null; set it to {NAMES}."
        return
    if mixture.by not in FAMILIES:
        yield f"data.mixture.by is {mixture.by!r}; choose {NAMES}, or null for none."
        return
    mode = config.trainer.v1.trainer_mode
    if mode not in OUR_TRAINER_MODES:
        ours = " or ".join(OUR_TRAINER_MODES)
        yield f"trainer.v1.trainer_mode is {mode!r}, which leaves data.mixture out; use {ours}."
    families: set[str] = set()
    for name in train_files:
        found = read_families(Path(name).expanduser(), mixture.by)
        if None in found:
            writer = "`medu1 select --levels N` writes them" if mixture.by == LEVEL else "`medu1 prepare` writes it"
            yield f"data.mixture.by is {mixture.by!r}, and {name!r} has {found.count(None)} rows without one; {writer}."
            return
        families |= set(found)
    known = ", ".join(sorted(families))
    example = min(families, default="NAME")
    if mixture.weights and not isinstance(mixture.weights, DictConfig):
        yield f"data.mixture.weights is {mixture.weights!r}; give families with weights, such as {{{example}: 1}}."
        return
    weights = mixture.weights or {}
    for family in sorted(set(weights) ^ families if weights else ()):
        is_missing = family in families
        yield f"data.mixture.weights {'lacks' if is_missing else 'names'} {family!r}; the training rows have {known}."
    for family, weight in weights.items():
        if not isinstance(weight, int | float) or not 0 < weight < math.inf:
            yield f"data.mixture.weights.{family} is {weight!r}; it must be a number above 0."
    stages = [families]
    if mixture.stages:
        if wrong := list(_form_violations(mixture.stages, f"{{families: [{example}], share: 1}}")):
            yield from wrong
            return
        yield from _stage_violations(mixture, families)
        if config.algorithm.filter_groups.enable:
            yield (
                "data.mixture.stages is set, and algorithm.filter_groups asks more questions than a step trains on, so "
                "that a stage would end too early; set one of the two to null or false."
            )
        stages = [set(stage.families) for stage in mixture.stages]
    for stage in stages:
        if len(stage) > config.data.train_batch_size:
            yield (
                f"data.train_batch_size is {config.data.train_batch_size}, and a batch has a row of each of the "
                f"{len(stage)} families {', '.join(sorted(stage))}; raise it to at least {len(stage)}."
            )


def _form_violations(stages: object, example: str) -> Iterator[str]:
    """Check that the stages are a list, and each a list of families with a share; other checks compute with them."""
    if not isinstance(stages, ListConfig):
        yield f"data.mixture.stages is {stages!r}; give a list of stages, such as [{example}]."
        return
    for number, stage in enumerate(stages):
        is_whole = isinstance(stage, DictConfig) and set(stage) == {"families", "share"}
        if not is_whole or not stage.families or not isinstance(stage.families, ListConfig):
            yield f"data.mixture.stages[{number}] is {stage!r}; give it families and a share, such as {example}."


def _stage_violations(mixture: DictConfig, families: set[str]) -> Iterator[str]:
    staged: set[str] = set()
    for number, stage in enumerate(mixture.stages):
        key = f"data.mixture.stages[{number}]"
        if not isinstance(stage.share, int | float) or not 0 < stage.share < math.inf:
            yield f"{key}.share is {stage.share!r}; it must be a number above 0."
        staged |= set(stage.families)
        for family in sorted(set(stage.families) - families):
            yield f"{key} names {family!r}; the training rows have {', '.join(sorted(families))}."
    for family in sorted(families - staged):
        yield f"data.mixture.stages leaves {family!r} out; name it in a stage, or prepare the data without it."
