"""Checks rows with a checklist, and `scoring.checklist`, how they are scored; part of `scoring_violations`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from verl_medu1.data.storage import as_list
from verl_medu1.machine.processors import is_size


class Counts(NamedTuple):
    """How many rows of a file have a checklist, one with a rule for an item, and one with an item without a rule."""

    with_checklist: int = 0
    with_rule: int = 0
    for_judge: int = 0


def checklist_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each file whose checklists can't be read or scored, and for each wrong setting."""
    has_judge = config.scoring.judge.base_url is not None
    of_training: list[Counts | None] = []
    for key in ("data.train_files", "data.val_files"):
        for name in as_list(OmegaConf.select(config, key)):
            counts = None
            try:
                counts = _count(Path(str(name)).expanduser())
            except ValueError as error:
                yield f"{key} is {name!r}: {error}; correct extra_info.checklist."
            if counts and counts.for_judge and not has_judge:
                yield (
                    f"{key} is {name!r}, where {counts.for_judge} rows have extra_info.checklist with items without a "
                    "rule, which a judge decides; set scoring.judge.base_url, or give each item number, regex or "
                    "aliases."
                )
            if key == "data.train_files":
                of_training.append(counts)
    yield from _items_violations(config, of_training)
    yield from _audit_violations(config, has_judge, of_training)


def _items_violations(config: DictConfig, of_training: list[Counts | None]) -> Iterator[str]:
    items, key = config.scoring.checklist.items_per_step, "scoring.checklist.items_per_step"
    if items is None:
        return
    if not is_size(items):
        yield f"{key} is {items!r}; it must be a whole number of at least 1, or null for all."
    elif _none_has(of_training, "with_checklist"):
        yield f"{key} is {items}, and no row of data.train_files has extra_info.checklist; set it to null."


def _audit_violations(config: DictConfig, has_judge: bool, of_training: list[Counts | None]) -> Iterator[str]:
    share = config.scoring.checklist.audit_share
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        yield f"scoring.checklist.audit_share is {share!r}; it must be a number from 0 to 1."
    elif share and not has_judge:
        yield (
            f"scoring.checklist.audit_share is {share:g}, and scoring.judge.base_url is null, so that nobody is asked; "
            "name the judge's address, or set scoring.checklist.audit_share=0."
        )
    elif share and _none_has(of_training, "with_rule"):
        yield (
            f"scoring.checklist.audit_share is {share:g}, and no row of data.train_files has extra_info.checklist with "
            "an item that a rule decides; set it to 0."
        )


def _none_has(of_training: list[Counts | None], what: str) -> bool:
    """Return whether all files were read, and none has such a row."""
    return bool(of_training) and all(counts and not getattr(counts, what) for counts in of_training)


def _count(path: Path) -> Counts | None:
    """Count the rows of a file; None if it is missing or broken, which another check reports.

    Raises:
        ValueError: A checklist can't be read.
    """
    from reward_score.checklist import read_checklist

    try:
        kind = pq.read_schema(path).field("extra_info").type
        if kind.get_field_index("checklist") < 0:
            return Counts()
    except (OSError, pa.ArrowInvalid, KeyError, AttributeError):
        return None
    infos = pq.read_table(path, columns=["extra_info"])["extra_info"].to_pylist()
    checklists = [items for info in infos if (items := read_checklist((info or {}).get("checklist")))]
    return Counts(
        len(checklists),
        sum(any(item.has_rule for item in items) for items in checklists),
        sum(not all(item.has_rule for item in items) for items in checklists),
    )
