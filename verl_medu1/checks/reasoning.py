"""Checks `scoring.reasoning`; part of `checks.run.check`."""

from collections.abc import Iterator

from omegaconf import DictConfig

from reward_score.reasoning import CONSISTENT, REASONING
from verl_medu1.checks.reward_terms import weight_violations

CONSISTENCY, RUBRIC = "scoring.reasoning.consistency_weight", "scoring.reasoning.rubric"
WEIGHT = f"{RUBRIC}_weight"


def reasoning_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with what a judge is asked about reasoning."""
    wanted = config.scoring.reasoning
    statements = [wanted.rubric] if isinstance(wanted.rubric, str) else list(wanted.rubric or ())
    if not all(isinstance(statement, str) and statement.strip() for statement in statements) or isinstance(
        wanted.rubric, str
    ):
        yield f"{RUBRIC} is {wanted.rubric!r}; give a list of statements, such as [Names what the picture shows]."
    measured = wanted.consistency_weight is not None
    yield from weight_violations(config, CONSISTENCY, CONSISTENT, "" if measured else f"{CONSISTENCY}=0")
    yield from weight_violations(config, WEIGHT, REASONING, "" if statements else f"{RUBRIC}=[STATEMENT]")
    key = CONSISTENCY if measured else RUBRIC
    if (measured or statements) and config.scoring.judge.base_url is None:
        yield f"{key} is set, and scoring.judge.base_url is null, so that nobody reads the reasoning; name a judge."
    if (measured or statements) and config.reward.reward_manager.name != "MedU1RewardManager":
        name = config.reward.reward_manager.name
        yield f"{key} is set, and reward.reward_manager.name is {name!r}, which asks nobody; take MedU1RewardManager."
