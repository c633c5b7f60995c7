"""Tells which documents that rows name as their evidence no search can find."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from verl_medu1.data.storage import as_list
from verl_medu1.environments.environment import make_environment
from verl_medu1.environments.gold_evidence import gold_evidence
from verl_medu1.environments.search import Search


def evidence_notice(config: DictConfig) -> str | None:
    """Say how many documents that the run's rows name are not in its index; None if all are, or it is not known.

    Args:
        config: of a training run, checked.

    Raises:
        ValueError: a row, of which only the first was checked, names what can't be read.
    """
    if config.episodes.environment is None:
        return None
    settings: Any = OmegaConf.to_container(config.episodes.settings, resolve=True)
    environment = make_environment(config.episodes.environment, settings)
    if not isinstance(environment, Search):
        return None
    named: dict[str, None] = {}
    for file in [*as_list(config.data.train_files), *as_list(config.data.val_files)]:
        infos = pq.read_table(Path(file).expanduser(), columns=["extra_info"])["extra_info"].to_pylist()
        try:
            named |= dict.fromkeys(name for info in infos for name in gold_evidence(info))
        except ValueError as error:
            raise ValueError(f"episodes.environment is 'search', and in {file} {error}.") from None
    if not (missing := environment.not_indexed(list(named))):
        return None
    return (
        f"{len(missing)} of the {len(named)} documents that rows name as evidence are not in the index "
        f"{settings['index']}, such as {missing[0]!r}: no search finds them, and evidence_recall stays below 1."
    )
