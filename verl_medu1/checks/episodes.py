"""Checks agent loops of several turns, and `episodes`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from reward_score.evidence import ANSWER_GAIN
from reward_score.loopback import is_loopback
from reward_score.schemes import DEFAULT_SCHEME
from verl_medu1.checks.reward_terms import weight_violations
from verl_medu1.checks.rewards import is_on
from verl_medu1.config.scorers import uses_our_scorers
from verl_medu1.data.credentialed import credentialed_in
from verl_medu1.data.schema import QUESTION_COLUMNS
from verl_medu1.data.storage import as_list
from verl_medu1.environments.environment import make_environment
from verl_medu1.rollout.names import EPISODE_LOOP

GAIN = "episodes.answer_gain_weight"
LIMITS = ("max_turns", "max_turn_tokens", "max_observation_tokens")
# What a session has (verl_medu1/environments/environment.py).
SESSION = ("step", "finish", "told", "facts", "calls", "invalid", "failed")


def episode_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with a rollout of several turns."""
    key = "actor_rollout_ref.rollout.agent.default_agent_loop"
    loop, episodes = config.actor_rollout_ref.rollout.agent.default_agent_loop, config.episodes
    penalty = config.algorithm.length_penalty
    if loop == "tool_agent" and (uses_our_scorers(config) or (penalty.where != "off" and is_on(penalty))):
        yield (
            f"{key} is {loop!r}, and our scorers and length penalties would take what tools return as the model's; set "
            f"{key}={EPISODE_LOOP} with an environment, or a scorer of your own and algorithm.length_penalty.where=off."
        )
    if loop != EPISODE_LOOP:
        if episodes.environment is not None:
            yield f"episodes.environment is {episodes.environment!r}, and nobody talks to it; set {key}={EPISODE_LOOP}."
        if config.scoring.scheme == "staged":
            yield f"scoring.scheme is 'staged', which rewards what searches find; set {key}={EPISODE_LOOP}."
        return
    mode = config.trainer.v1.trainer_mode
    if mode != "medu1_sync":
        yield (
            f"trainer.v1.trainer_mode is {mode!r}, which may change the model in the middle of an episode; set "
            f"trainer.v1.trainer_mode=medu1_sync, or leave {EPISODE_LOOP} out."
        )
    manager = config.reward.reward_manager.name
    if manager != "MedU1RewardManager":
        yield (
            f"reward.reward_manager.name is {manager!r}, which takes what an environment says as the model's; set "
            "reward.reward_manager.name=MedU1RewardManager."
        )
    for name in LIMITS:
        if not isinstance(episodes[name], int) or episodes[name] < 1:
            yield f"episodes.{name} is {episodes[name]!r}; it must be a whole number of at least 1."
            return
    share = episodes.max_failed_share
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        yield f"episodes.max_failed_share is {share!r}; it must be a number from 0 to 1."
    if not isinstance(episodes.answer_gain, bool):
        yield f"episodes.answer_gain is {episodes.answer_gain!r}; it must be true or false."
    measured = episodes.answer_gain is True
    yield from weight_violations(config, GAIN, ANSWER_GAIN, "" if measured else "episodes.answer_gain=true")
    room = config.data.max_response_length
    for name in LIMITS[1:]:
        if episodes[name] >= room and episodes.max_turns > 1:
            yield (
                f"episodes.{name} is {episodes[name]}, and all turns and replies together have "
                f"data.max_response_length={room} tokens; lower the one or raise the other."
            )
    if episodes.environment == "searcher":
        yield from _reader_violations(config)
    settings: Any = OmegaConf.to_container(episodes.settings, resolve=True)
    try:
        environment = make_environment(str(episodes.environment), settings)
    except ValueError as error:
        yield str(error)
        return
    files = [*as_list(config.data.train_files), *as_list(config.data.val_files)]
    if environment.address and not is_loopback(environment.address) and (found := credentialed_in(files)):
        yield (
            f"episodes.environment is {episodes.environment!r}, which sends text to {environment.address!r}, and "
            f"the data has rows of {', '.join(found)}, which may not leave this machine; take servers on 127.0.0.1."
        )
        return
    for file in files:
        row = _first_row(file)
        try:
            if row is not None:
                session = environment.start(row | {"raw_prompt": row["prompt"]})
                if lacks := [name for name in SESSION if not hasattr(session, name)]:
                    yield (
                        f"episodes.environment is {episodes.environment!r}, whose session has no {lacks[0]}; let its "
                        "class be a subclass of verl_medu1.environments.environment.Session, and set its counters."
                    )
                    return
        except ValueError as error:
            yield f"episodes.environment is {episodes.environment!r}, and in {file} {error}."


def _first_row(file: str) -> dict[str, Any] | None:
    """Return the first row of a file; None if there is none that is a question, which another check reports."""
    try:
        batch = next(pq.ParquetFile(Path(file).expanduser()).iter_batches(batch_size=1))
    except (OSError, pa.ArrowInvalid, StopIteration):
        return None
    (row,) = batch.to_pylist()
    return row if row.keys() >= set(QUESTION_COLUMNS) else None


def _reader_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each key that would say how an answer is scored, where only the reader's gain counts."""
    if not uses_our_scorers(config):
        yield (
            f"reward.custom_reward_function.path is {config.reward.custom_reward_function.path!r}, and the environment "
            "searcher rewards the gain of its reader, which our scorers compute; leave it out."
        )
    if (scheme := config.scoring.scheme) != DEFAULT_SCHEME:
        yield (
            f"scoring.scheme is {scheme!r}, and the environment searcher rewards the gain of its reader whatever the "
            "scheme is; leave it out."
        )
    if (address := config.scoring.judge.base_url) is not None:
        yield (
            f"scoring.judge.base_url is {address!r}, and no judge is asked about the replies of a reader; leave it out."
        )
