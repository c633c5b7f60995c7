"""Checks the data files of a run; part of `checks.run.check`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from reward_score.evidence import RETRIEVE
from verl_medu1.checks.batches import batch_violations
from verl_medu1.checks.mixture import mixture_violations
from verl_medu1.checks.rewards import is_on
from verl_medu1.config.scorers import uses_our_scorers
from verl_medu1.data.credentialed import credentialed_violations
from verl_medu1.data.folds import official_violations
from verl_medu1.data.schema import QUESTION_COLUMNS
from verl_medu1.data.storage import as_list
from verl_medu1.environments.gold_evidence import gold_evidence
from verl_medu1.length.budget import COUNTED, what_is_counted
from verl_medu1.length.penalties import PENALTIES, TOKENS


def file_violations(key: str, value: Any, columns: Sequence[str]) -> Iterator[str]:
    """Check that the files of a key are parquet files with these columns and at least one row."""
    for name in as_list(value):
        path = Path(name).expanduser()
        if not path.is_file():
            yield f"{key} is {name!r}, and there is no such file; `medu1 prepare` writes one."
            continue
        try:
            with pq.ParquetFile(path) as file:
                present, rows = file.schema_arrow.names, file.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            yield f"{key} is {name!r}, which is not a parquet file ({str(error).splitlines()[0]})."
            continue
        if missing := [column for column in columns if column not in present]:
            yield f"{key} is {name!r}, which lacks the columns {', '.join(missing)}; `medu1 prepare` writes them."
        elif not rows:
            yield f"{key} is {name!r}, which has no rows; prepare it with more, or with another --test-share."


def _unlike_files(key: str, names: Sequence[str]) -> Iterator[str]:
    """Check that `datasets` can concatenate the files, as verl does."""
    if len(names) < 2:
        return
    from datasets import Dataset, concatenate_datasets

    def first_row(name: str) -> Dataset:
        with pq.ParquetFile(Path(name).expanduser()) as file:
            return Dataset(pa.Table.from_batches([next(file.iter_batches(1))]))

    first, *others = names
    begun = first_row(first)
    for name, other in zip(others, map(first_row, others), strict=True):
        try:
            concatenate_datasets([begun, other])
        except ValueError:
            unlike = [key for key, kind in begun.features.items() if other.features.get(key, kind) != kind]
            yield (
                f"{key} has {first!r} and {name!r}, whose columns {', '.join(unlike)} have other types; write both "
                "with `medu1 prepare`, or cast one to the schema of the other."
            )


def _without_evidence(config: DictConfig, infos: Sequence[dict[str, Any]]) -> int:
    """Count the rows that the configured scheme can't reward, because nothing says what their searches should find."""
    if config.scoring.scheme != "staged" or config.episodes.answer_gain is True:
        return 0
    return sum(info.get("stage") == RETRIEVE and not gold_evidence(info) for info in infos)


def data_violations(config: DictConfig) -> Iterator[str]:
    """Check the files of questions, and the settings that depend on their rows."""
    from reward_score import known_sources

    found_modes: set[str] = set()
    for key in ("data.train_files", "data.val_files"):
        value = OmegaConf.select(config, key)
        violations = list(file_violations(key, value, QUESTION_COLUMNS))
        yield from violations
        if violations:
            continue
        yield from _unlike_files(key, as_list(value))
        rows = 0
        for name in as_list(value):
            table = pq.read_table(Path(name).expanduser(), columns=["data_source", "extra_info"])
            rows += table.num_rows
            unknown = sorted(set(table["data_source"].to_pylist()) - set(known_sources()))
            if unknown and uses_our_scorers(config):
                yield (
                    f"{key} is {name!r} with data_source {', '.join(map(repr, unknown))}, for which no scorer is "
                    f"registered; known are {', '.join(known_sources())}."
                )
            infos = table["extra_info"].to_pylist()
            if key == "data.train_files":
                found_modes |= {info.get("budget_mode") or "none" for info in infos}
            if without := _without_evidence(config, infos):
                yield (
                    f"{key} is {name!r}, where {without} rows of the stage {RETRIEVE!r} name no evidence for "
                    "scoring.scheme=staged to reward; name it, or set episodes.answer_gain=true."
                )
            counted = {what_is_counted(info) for info in infos}
            if wrong := sorted(counted - set(COUNTED)):
                yield f"{key} is {name!r} with budget_counts {wrong[0]!r}; known are {', '.join(COUNTED)}."
        if key == "data.train_files":
            yield from batch_violations(config, rows)
            yield from mixture_violations(config, as_list(value))
            yield from official_violations(as_list(value))
    penalty = config.algorithm.length_penalty
    known = PENALTIES.get(penalty.name)
    has_budgets = penalty.unit == TOKENS and penalty.where != "off" and is_on(penalty)
    if known and has_budgets and found_modes and not known.modes & found_modes:
        yield (
            f"algorithm.length_penalty.name is {penalty.name!r}, which is for questions with budget "
            f"{' or '.join(sorted(known.modes))}, and the data has {' and '.join(sorted(found_modes))} only; prepare "
            "it with other budgets, choose another penalty, or set algorithm.length_penalty.where=off."
        )


def credentialed_file_violations(config: DictConfig) -> Iterator[str]:
    """Check that no setting sends credentialed rows of the run's files to another machine."""
    yield from credentialed_violations(config, [*as_list(config.data.train_files), *as_list(config.data.val_files)])
