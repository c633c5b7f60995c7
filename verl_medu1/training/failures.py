"""Failures of a judge and of an environment: too many of them end the run."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from reward_score.judge.failed_share import FailedShare
from verl_medu1.rollout.failed_calls import FailedCalls


class Failures:
    """What may fail in a rollout without ending it, until there is too much of it."""

    def __init__(self, config: DictConfig) -> None:
        judge, environment = config.scoring.judge.max_failed_share, config.episodes.max_failed_share
        self._shares = (FailedShare(judge), FailedCalls(environment))

    def add(self, responses: Sequence[Mapping[str, Any]]) -> None:
        """Count the failures of responses, given by their components.

        Raises:
            RuntimeError: there are too many; the sentence says of what.
        """
        for share in self._shares:
            share.add(responses)
